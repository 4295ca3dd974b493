"""Publishes with pysparkplug, as an edge node with a device: `python sparkplug_node.py PORT`."""

import sys
import time

import pysparkplug as sp  # type: ignore[import-not-found]  # see requirements-peers.in

AT = 1767225600250


def metric(name: str, kind: sp.DataType, value: object, at: int) -> sp.Metric:
    return sp.Metric(timestamp=at, name=name, datatype=kind, value=value)


node = sp.EdgeNode("PressHall", "Edge-7", [metric("pressure", sp.DataType.DOUBLE, 6.25, AT)])
device = sp.Device(
    "Pump-2", [metric("rpm", sp.DataType.INT32, -1200, AT), metric("on", sp.DataType.BOOLEAN, value=True, at=AT)]
)
node.register(device)
node.connect("127.0.0.1", port=int(sys.argv[1]))
deadline = time.monotonic() + 20
while not node._connected and time.monotonic() < deadline:  # noqa: SLF001 - it tells nobody when it has
    time.sleep(0.05)
node.update([metric("pressure", sp.DataType.DOUBLE, 6.5, AT + 1000)])
node.update_device("Pump-2", [metric("rpm", sp.DataType.INT32, 1250, AT + 2000)])
sys.stdin.read()  # until the test has what it wants
node.disconnect()

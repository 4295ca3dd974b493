"""What the operating system sees: the stream's fsync comes before ingest's PUBACK."""

import re
import subprocess
from pathlib import Path

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import need, wait_until
from tests.e2e.conftest import Running

MARKER = "marked-for-the-trace"
PUBACK = r"(?:sendto|sendmsg|write|writev)\(\d+, .*\"@\\2"
LINE = re.compile(r"(?P<pid>\d+) +(?P<at>\d+\.\d+) (?P<call>.*)")


def publish(port: int, device: str, payload: bytes) -> None:
    """Publish one message at QoS 1."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="traced")
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(f"devices/{device}/telemetry", payload, qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def test_the_fsync_comes_before_the_puback(stack: Running, tmp_path: Path) -> None:
    strace = need("strace", "strace")
    output = tmp_path / "trace"
    pids = stack.pids()
    command = [strace, "-f", "-ttt", "-s", "4096", "-o", str(output), "-e", "trace=desc,network"]
    tracer = subprocess.Popen(
        [*command, "-p", str(pids["stream"]), "-p", str(pids["ingest"])], stderr=subprocess.PIPE, text=True
    )
    assert tracer.stderr is not None
    attached = ""
    while "attached" not in attached or str(pids["ingest"]) not in attached:
        line = tracer.stderr.readline()
        assert line, f"strace could not attach: {attached}"
        attached += line
    try:
        publish(stack.mqtt_port, "traced-device", b'{"state": "%b"}' % MARKER.encode())
        wait_until(lambda: len(pubacks(calls(output), pids["ingest"])) > 0, "ingest acknowledges")
    finally:
        tracer.terminate()
        tracer.communicate()

    seen = calls(output)
    written = [(at, call) for _, at, call in seen if re.match(r"p?write(64|v)?\(", call) and MARKER in call]
    assert written, "the stream server writes the reading to a file"
    at_write, write = written[0]
    file = re.search(r"\((\d+),", write)
    assert file is not None
    synced = [at for _, at, call in seen if re.match(rf"f(data)?sync\({file[1]}\)", call) and at > at_write]
    assert synced, "the stream server fsyncs that file"
    told = pubacks(seen, pids["ingest"])
    assert at_write < synced[0] < told[0]


def calls(output: Path) -> list[tuple[int, float, str]]:
    """Read the trace: process, time, call; a call that was interrupted by another's line counts from its end."""
    found = []
    for line in output.read_text(errors="replace").splitlines():
        if match := LINE.match(line):
            found.append((int(match["pid"]), float(match["at"]), match["call"]))
    return found


def pubacks(seen: list[tuple[int, float, str]], ingest: int) -> list[float]:
    """Return when ingest sent PUBACKs."""
    return [at for pid, at, call in seen if pid == ingest and re.match(PUBACK, call)]

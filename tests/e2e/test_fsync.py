"""What the operating system sees: the stream's fsync comes before ingest's PUBACK."""

import re
import subprocess
from dataclasses import dataclass
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
    writes = [call for call in seen if re.match(r"p?write(64|v)?\(", call.text) and MARKER in call.text]
    assert writes, "the stream server writes the reading to a file"
    file = re.search(r"\((\d+),", writes[0].text)
    assert file is not None
    syncs = [
        call for call in seen if re.match(rf"f(data)?sync\({file[1]}\)", call.text) and call.begun > writes[0].begun
    ]
    assert syncs, "the stream server fsyncs that file"
    assert syncs[0].ended < pubacks(seen, pids["ingest"])[0].begun


@dataclass
class Call:
    """A system call of one thread."""

    thread: int
    begun: float
    ended: float
    text: str


def calls(output: Path) -> list[Call]:
    """Read the trace; a call that other threads' lines interrupt is put together again."""
    found: list[Call] = []
    unfinished: dict[int, Call] = {}
    for line in output.read_text(errors="replace").splitlines():
        match = LINE.match(line)
        if match is None:
            continue
        thread, at, text = int(match["pid"]), float(match["at"]), match["call"]
        if text.startswith("<... "):
            call = unfinished.pop(thread, None)
            if call is not None:
                call.ended, call.text = at, call.text + text.partition("resumed>")[2]
                found.append(call)
        elif text.endswith("<unfinished ...>"):
            unfinished[thread] = Call(thread, at, at, text.removesuffix("<unfinished ...>").rstrip())
        else:
            found.append(Call(thread, at, at, text))
    return sorted(found, key=lambda call: call.begun)


def pubacks(seen: list[Call], ingest: int) -> list[Call]:
    """Return the calls with which ingest sent PUBACKs."""
    return [call for call in seen if call.thread == ingest and re.match(PUBACK, call.text)]

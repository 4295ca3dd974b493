"""The record of what was sent."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contracts import logs
from simulators.entries import Entries, Part
from simulators.ledger import About, Ledger, LedgerError

ABOUT = About(seed=1, devices=2, first=0, rate=1.0, seconds=0.0, malformed=0.0)


def open_ledger(path: Path) -> Ledger:
    return Ledger(path, ABOUT, 5, logs.quiet())


def test_everything_is_read_back_as_it_was_sent(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger.sqlite3"
    ledger = open_ledger(path)
    first = ledger.record("env-001", 10, b'{"a":1.5,"b":true,"c":"run"}', 11, None)
    ledger.record("env-001", 12, None, 13, ("encoding", b"\xff12"))
    ledger.acked(first, 20)
    ledger.close()
    with Entries(path) as entries:
        good, bad = entries.of(Part(1, "env-001"))
        assert entries.runs() == {1: ABOUT}
        totals = entries.totals()
    assert (good.ts, good.values, good.fault, good.published, good.acked) == (
        10,
        {"a": 1.5, "b": True, "c": "run"},
        "",
        11,
        20,
    )
    assert good.payload == b'{"ts":10,"values":{"a":1.5,"b":true,"c":"run"}}'
    assert (bad.payload, bad.fault, bad.acked) == (b"\xff12", "encoding", None)
    assert (totals.published, totals.acked, totals.malformed) == (2, 1, 1)


def test_another_run_is_added_to_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = open_ledger(tmp_path / "l")
        ledger.acked(ledger.record("env-001", 10, b"{}", 10, None), 11)
        ledger.close()
    with Entries(tmp_path / "l") as entries:
        assert entries.parts() == [Part(1, "env-001"), Part(2, "env-001")]
        assert entries.totals().acked == 2


def test_closing_twice_does_nothing_and_loses_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l")
    for n in range(5000):
        ledger.acked(ledger.record("d", n, b"{}", n, None), n)
    ledger.close()
    ledger.close()
    with Entries(tmp_path / "l") as entries:
        assert entries.totals().acked == 5000


def test_it_keeps_up_with_ten_thousand_messages_a_second(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l")
    began = time.monotonic()
    for n in range(30_000):
        ledger.acked(ledger.record(f"env-{n % 50:03d}", n, b'{"temperature":21.53,"co2":600.0}', n, None), n)
    ledger.close()
    assert time.monotonic() - began < 3


def test_what_is_no_ledger_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no database, and long enough to be sure of that")
    with pytest.raises(LedgerError, match="text"):
        open_ledger(tmp_path / "text")
    with pytest.raises(LedgerError, match="missing"):
        Entries(tmp_path / "missing")


def test_a_file_that_can_no_longer_be_written_stops_the_recording(tmp_path: Path) -> None:
    path = tmp_path / "l"
    ledger = open_ledger(path)
    with sqlite3.connect(path) as other:
        other.execute("DROP TABLE message")
    other.close()
    ledger.record("d", 1, b"{}", 1, None)
    ledger.close()
    with pytest.raises(LedgerError, match="no such table"):
        ledger.record("d", 2, b"{}", 2, None)


WRITER = """
import sys
from pathlib import Path
from contracts import logs
from simulators.ledger import About, Ledger
ledger = Ledger(Path(sys.argv[1]), About(1, 1, 0, 1.0, 0.0, 0.0), 0, logs.quiet())
n = 0
while True:
    if ledger.room:
        number = ledger.record("d", n, b"{}", n, None)
        if n % 2 == 0:
            ledger.acked(number, n)
        n += 1
"""


@pytest.mark.parametrize("after", [500, 5000])
def test_a_killed_process_leaves_a_ledger_in_order_that_claims_no_ack_it_did_not_get(
    tmp_path: Path, after: int
) -> None:
    path = tmp_path / "l"
    root = Path(__file__).parents[3]
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], env=os.environ | {"PYTHONPATH": str(root)})
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and _count(path) < after:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with Entries(path) as entries:
        found = list(entries.of(Part(1, "d")))
    assert len(found) >= after
    assert [entry.ts for entry in found] == list(range(len(found)))
    assert all(entry.ts % 2 == 0 for entry in found if entry.acked is not None)


def _count(path: Path) -> int:
    try:
        with Entries(path) as entries:
            return entries.totals().published
    except LedgerError:
        return 0

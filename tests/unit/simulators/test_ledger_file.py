"""The record of what was sent, in frames."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import logs
from contracts.readings import Value
from simulators.plan.batch import ARRIVAL, Batch, Block, Expect
from simulators.truth.columns import pack_ints, pack_values, unpack_ints, unpack_values
from simulators.truth.entries import Event, Member, PartNote, Run
from simulators.truth.keeping import LedgerError
from simulators.truth.ledger import LedgerFile, clear
from simulators.truth.reading import Acked, Entered, Sent, read

BEGAN = 1_767_225_600_000_000_000
RUN = Run(7, BEGAN, [Member(0, "n-000", "n-000", 0), Member(1, "n-001", "n-001", 0)], [PartNote("numbers", "json")])


def open_ledger(path: Path) -> LedgerFile:
    return LedgerFile(path, RUN, logs.quiet())


def batch(first: int, count: int) -> Batch:
    """Give messages of device 0 and 1 by turns, one a ms."""
    devices = [n % 2 for n in range(count)]
    intended = [BEGAN + (first + n) * 1_000_000 for n in range(count)]
    values: list[Value | None] = [20.5 + n / 100 for n in range(count)]
    return Batch(
        first,
        devices,
        [b"devices/n/telemetry"] * count,
        [b'{"n":%d}' % (first + n) for n in range(count)],
        [0] * count,
        intended,
        [""] * count,
        [Expect.STORED] * count,
        [Block(range(count), devices, intended, {"level": values, "open": [n % 2 == 0 for n in range(count)]})],
    )


def test_everything_is_read_back_as_it_was_entered(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "ledger"
    ledger = open_ledger(path)
    some = batch(0, 3)
    some.faults[1], some.expects[1], some.payloads[1] = "malformed", Expect.REJECTED, b"\xff{"
    some.blocks = [
        Block([0, 2], [0, 1], [some.intended[0], ARRIVAL], {"level": [1.5, None], "mode": ["idle", "run"]}),
        Block([2], [1], [5], {"open": [True]}),
    ]
    ledger.batch(some)
    ledger.sent(range(3), 11)
    ledger.acked([0, 2], 12)
    ledger.acked([1], 13)
    ledger.event("phase", "ramp", 14)
    ledger.close()
    run, entered, event, sent, acked = list(read(path))
    assert (run, event) == (RUN, Event(14, "phase", "ramp"))
    assert isinstance(entered, Entered)
    assert isinstance(sent, Sent)
    assert isinstance(acked, Acked)
    assert (sent.numbers.tolist(), sent.ats.tolist()) == ([0, 1, 2], [11, 11, 11])
    assert (acked.numbers.tolist(), acked.ats.tolist()) == ([0, 2, 1], [12, 12, 13])
    assert (entered.devices.tolist(), entered.intended.tolist()) == (some.devices, some.intended)
    assert (entered.faults, entered.expects.tolist()) == (some.faults, [0, 1, 0])
    assert (entered.payloads, entered.lengths.tolist()) == ({1: b"\xff{"}, [7, 2, 7])
    one, other = entered.points
    assert (one.messages.tolist(), one.devices.tolist()) == ([0, 2], [0, 1])
    assert one.ts.tolist() == [some.intended[0], ARRIVAL]
    assert one.columns == {"level": [1.5, None], "mode": ["idle", "run"]}
    assert (other.messages.tolist(), other.ts.tolist(), other.columns) == ([2], [5], {"open": [True]})


def test_another_run_is_added_to_the_same_file(tmp_path: Path) -> None:
    for _ in range(2):
        ledger = open_ledger(tmp_path / "l")
        ledger.batch(batch(0, 5))
        ledger.acked(range(5), 1)
        ledger.close()
    assert [type(entry) for entry in read(tmp_path / "l")] == [Run, Entered, Acked] * 2


def test_closing_twice_does_nothing_and_loses_nothing(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l")
    for n in range(500):
        ledger.batch(batch(n * 10, 10))
        ledger.acked(range(n * 10, n * 10 + 10), n)
    ledger.close()
    ledger.close()
    assert ledger.queued == 0
    assert sum(len(entry.numbers) for entry in read(tmp_path / "l") if isinstance(entry, Acked)) == 5000


def test_a_reading_takes_few_bytes(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l")
    for n in range(100):
        ledger.batch(batch(n * 500, 500))
        ledger.sent(range(n * 500, n * 500 + 500), BEGAN + n)
        ledger.acked(range(n * 500, n * 500 + 500), BEGAN + n)
    ledger.close()
    assert (tmp_path / "l").stat().st_size < 8 * 50_000 * 2


def test_what_is_no_ledger_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no ledger")
    with pytest.raises(LedgerError, match="text"):
        open_ledger(tmp_path / "text")
    with pytest.raises(LedgerError, match="missing"):
        list(read(tmp_path / "missing"))


def test_a_ledger_has_one_writer(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "l")
    with pytest.raises(LedgerError, match="another process"):
        open_ledger(tmp_path / "l")
    ledger.close()


def test_a_ledger_is_cleared_unless_somebody_writes_it(tmp_path: Path) -> None:
    clear(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    ledger = open_ledger(tmp_path / "l")
    with pytest.raises(LedgerError, match="another process"):
        clear(tmp_path / "l")
    ledger.batch(batch(0, 3))
    ledger.close()
    clear(tmp_path / "l")
    open_ledger(tmp_path / "l").close()
    assert list(read(tmp_path / "l")) == [RUN]


def test_a_file_that_can_no_longer_be_written_stops_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.truth.ledger.MAX_QUEUED", 1)
    ledger = open_ledger(tmp_path / "l")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "l").stat().st_size, limits[1]))
    try:
        ledger.batch(batch(0, 1))
        ledger.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    ledger.acked([0], 1)
    assert "File too large" in ledger.failure
    assert ledger.room
    with pytest.raises(LedgerError, match="File too large"):
        ledger.batch(batch(1, 1))


@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_file_is_read_up_to_its_last_whole_frame_and_goes_on_there(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "l"
    ledger = open_ledger(path)
    ledger.batch(batch(0, 50))
    ledger.batch(batch(50, 50))
    ledger.close()
    data = path.read_bytes()
    path.write_bytes(data[:-1] if damage == "cut" else data[:-20] + bytes([data[-20] ^ 1]) + data[-19:])
    assert [type(entry) for entry in read(path)] == [Run, Entered]
    open_ledger(path).close()
    assert [type(entry) for entry in read(path)] == [Run, Entered, Run]


WRITER = """
import sys
from pathlib import Path
from contracts import logs
sys.path.insert(0, sys.argv[2])
from test_ledger_file import batch, open_ledger
ledger = open_ledger(Path(sys.argv[1]))
n = 0
while True:
    if ledger.room:
        ledger.batch(batch(n, 10))
        ledger.acked(range(n, n + 10, 2), n)
        n += 10
"""


def test_a_killed_process_leaves_a_ledger_in_order_that_claims_no_ack_it_did_not_get(tmp_path: Path) -> None:
    path = tmp_path / "l"
    here = Path(__file__)
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(here.parent)],
        env=os.environ | {"PYTHONPATH": str(here.parents[3])},
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and (not path.exists() or path.stat().st_size < 100_000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    entered, acked = 0, -1
    for entry in read(path):
        if isinstance(entry, Entered):
            assert entry.first == entered
            entered += len(entry)
        elif isinstance(entry, Acked):
            assert (entry.numbers % 2 == 0).all()
            acked = max(acked, int(entry.numbers.max()))
            assert acked < entered
    assert acked > 0


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_come_back(numbers: list[int]) -> None:
    assert unpack_ints(pack_ints(np.array(numbers, dtype=np.int64))).tolist() == numbers


@given(
    st.one_of(
        st.lists(st.floats(allow_nan=False)).map(lambda some: some * 20),
        st.lists(st.integers(-(10**8), 10**8).map(lambda x: x / 100)).map(lambda some: some * 20),
        st.lists(st.booleans()),
        st.lists(st.none() | st.floats(allow_nan=False) | st.booleans() | st.text()),
    )
)
def test_values_come_back_to_the_last_bit(values: Sequence[Value | None]) -> None:
    found = unpack_values(pack_values(values))
    back = found.tolist() if isinstance(found, np.ndarray) else found
    assert list(map(repr, back)) == list(map(repr, values))  # which tells -0.0 from 0.0, and 1.0 from True

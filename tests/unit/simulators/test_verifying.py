"""Every kind of mistake of a pipeline is found, told apart, and counted exactly."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import logs
from simulators.plan.batch import Batch, Block, Expect
from simulators.truth.entries import Member, Run
from simulators.truth.keeping import LedgerError
from simulators.truth.ledger import LedgerFile
from simulators.truth.verdict import Verdict
from simulators.truth.verify import verify
from tests.unit.simulators.pipeline_in_memory import BEGAN, Fleet, Message, Place

MISTAKES = ("lost", "duplicates", "wrong", "misrouted", "accepted", "rejected")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path / "ledger", Random(4), 200)


@pytest.fixture
def message(fleet: Fleet) -> Message:
    """Give a message that was fine, and is stored at a time of its own."""
    return next(m for m in fleet.messages[50:] if m.fine() and not m.late)


def of(fleet: Fleet, expect: Expect) -> Message:
    return next(message for message in fleet.messages if message.acked and message.expect == expect)


async def check(tmp_path: Path, fleet: Fleet, wait_seconds: float = 0) -> Verdict:
    verdict = await verify(tmp_path / "ledger", fleet.place, fleet.place, wait_seconds=wait_seconds)
    became = verdict.stored + verdict.dead_lettered + verdict.refused + verdict.let_through + verdict.lost
    assert verdict.published == became == sum(message.acked for message in fleet.messages)
    points = verdict.points
    assert points.sent == points.stored + points.lost + points.wrong + points.misrouted
    return verdict


def mistakes(verdict: Verdict) -> dict[str, int]:
    return {name: count for name in MISTAKES if (count := getattr(verdict, name))}


async def test_what_is_as_it_should_be_is_fine(tmp_path: Path, fleet: Fleet) -> None:
    verdict = await check(tmp_path, fleet)
    assert (verdict.ok, mistakes(verdict), verdict.examples) == (True, {}, [])
    assert verdict.stored == sum(m.acked and m.expect == Expect.STORED for m in fleet.messages)
    rejected = [m for m in fleet.messages if m.acked and m.expect in {Expect.REJECTED, Expect.PARTLY}]
    assert (verdict.dead_lettered, verdict.unacked) == (len(rejected), sum(not m.acked for m in fleet.messages))
    assert verdict.reasons["malformed"] >= len(rejected)
    assert set(verdict.faults) == {"fault-rejected", "fault-partly", "fault-refused"}


async def test_a_lost_point_is_found(tmp_path: Path, fleet: Fleet, message: Message) -> None:
    value = fleet.lose(message)
    verdict = await check(tmp_path, fleet)
    assert (mistakes(verdict), verdict.points.lost) == ({"lost": 1}, 1)
    assert verdict.examples == [f"lost: {message.device} level at {message.at}: {value!r} is not there"]


async def test_a_point_that_is_there_twice_is_found(tmp_path: Path, fleet: Fleet, message: Message) -> None:
    fleet.store(message, "mode", message.points["mode"])
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"duplicates": 1}
    assert verdict.examples[0].startswith(f"duplicate: {message.device} mode at {message.at}")


@pytest.mark.parametrize(("metric", "value"), [("level", 0.5), ("open", 1.0), ("mode", "else"), ("level", "text")])
async def test_a_wrong_value_is_found(
    tmp_path: Path, fleet: Fleet, message: Message, metric: str, value: float | str
) -> None:
    was = fleet.lose(message, metric)
    fleet.store(message, metric, value)
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"lost": 1, "wrong": 1}, "its message is lost, as it was sent"
    assert verdict.examples == [
        f"wrong: {message.device} {metric} at {message.at}: {was!r} was sent, and {value!r} is there"
    ]


@pytest.mark.parametrize(("device", "metric"), [("n-004", "level"), ("", "elsewhere"), ("a-stranger", "level")])
async def test_a_point_of_another_device_or_metric_is_found(
    tmp_path: Path, fleet: Fleet, message: Message, device: str, metric: str
) -> None:
    device = "n-003" if message.device == device else device
    fleet.store(message, metric, fleet.lose(message), device)
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"lost": 1, "misrouted": 1}
    assert verdict.points.lost == 0
    assert verdict.examples[0].endswith(f"is there as {device or message.device} {metric}")


async def test_a_point_that_nobody_sent_is_found(tmp_path: Path, fleet: Fleet, message: Message) -> None:
    fleet.place.there[message.device, "level"].append((message.at + 1, 5.0))
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"accepted": 1}
    assert verdict.accepted_why == {"a point that nobody sent": 1}


@pytest.mark.parametrize("expect", [Expect.REJECTED, Expect.REFUSED])
async def test_a_point_of_what_had_to_be_rejected_is_found(tmp_path: Path, fleet: Fleet, expect: Expect) -> None:
    message = of(fleet, expect)
    fleet.store(message, "level", message.points["level"])
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"accepted": 1}
    assert f"(fault: fault-{expect.name.lower()})" in verdict.examples[0]


@pytest.mark.parametrize("expect", [Expect.REJECTED, Expect.PARTLY])
async def test_a_missing_dead_letter_is_found(tmp_path: Path, fleet: Fleet, expect: Expect) -> None:
    fleet.lose_letter(of(fleet, expect))
    verdict = await check(tmp_path, fleet)
    assert (mistakes(verdict), verdict.let_through) == ({"accepted": 1}, 1)
    assert verdict.accepted_why == {"no dead letter of a message that had to be rejected": 1}


async def test_a_dead_letter_of_what_had_to_be_refused_is_found(tmp_path: Path, fleet: Fleet) -> None:
    fleet.place.letters.append((of(fleet, Expect.REFUSED).payload, "unknown_device"))
    assert mistakes(await check(tmp_path, fleet)) == {"accepted": 1}


@pytest.mark.parametrize("whole", [True, False])
async def test_a_good_message_that_was_rejected_is_found(
    tmp_path: Path, fleet: Fleet, message: Message, *, whole: bool
) -> None:
    for metric in message.points if whole else ():
        fleet.lose(message, metric)
    fleet.place.letters.append((message.payload, "out_of_range"))
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"rejected": 1}, "it is dead-lettered, so not lost"
    assert verdict.reasons["out_of_range"] == 1


async def test_points_that_are_stored_when_they_arrive_are_found_lost_doubled_and_wrong(
    tmp_path: Path, fleet: Fleet
) -> None:
    one, two, three = [message for message in fleet.messages if message.fine() and message.late][:3]
    fleet.lose(one)
    fleet.place.there[two.device, "mode"].append((two.at + 5, two.points["mode"]))
    fleet.lose(three, "mode")
    fleet.store(three, "mode", "else")
    verdict = await check(tmp_path, fleet)
    assert mistakes(verdict) == {"lost": 2, "duplicates": 1, "wrong": 1}, verdict.examples


async def test_dead_letters_of_others_are_not_this_ledgers(tmp_path: Path, fleet: Fleet) -> None:
    fleet.place.letters.append((b"of somebody else", "malformed"))
    verdict = await check(tmp_path, fleet)
    assert (verdict.ok, verdict.foreign_letters) == (True, 1)


async def test_points_of_other_times_are_not_this_ledgers(tmp_path: Path, fleet: Fleet) -> None:
    fleet.place.there["n-000", "level"] += [(BEGAN - 3600 * 10**9, 1.0), (BEGAN + 10**13, 1.0)]
    assert (await check(tmp_path, fleet)).ok


async def test_stragglers_are_waited_for_and_only_they_are_asked_for_again(
    tmp_path: Path, fleet: Fleet, message: Message
) -> None:
    value, letter = fleet.lose(message), fleet.place.letters.pop()
    rests: list[float] = []

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if len(rests) == 2:
            fleet.store(message, "level", value)
            fleet.place.letters.append(letter)

    verdict = await verify(tmp_path / "ledger", fleet.place, fleet.place, wait_seconds=30, rest=rest)
    assert (verdict.ok, len(rests)) == (True, 2)
    assert fleet.place.asked[5:] == [message.device] * 2


async def test_what_does_not_come_is_lost_when_the_wait_is_over(tmp_path: Path, fleet: Fleet, message: Message) -> None:
    fleet.lose(message)
    assert mistakes(await check(tmp_path, fleet, wait_seconds=0.3)) == {"lost": 1}


async def test_without_dead_letters_the_rest_is_checked(tmp_path: Path, fleet: Fleet, message: Message) -> None:
    fleet.lose(message)
    verdict = await verify(tmp_path / "ledger", fleet.place, None, wait_seconds=0)
    assert (mistakes(verdict), verdict.letters_checked) == ({"lost": 1}, False)


async def test_of_a_run_in_which_nothing_was_sent_nothing_is_wrong(tmp_path: Path) -> None:
    fleet = Fleet(tmp_path / "ledger", Random(1), 0)
    assert (await check(tmp_path, fleet)).ok


async def test_several_runs_in_one_ledger_are_checked_together(tmp_path: Path) -> None:
    fleets = [Fleet(tmp_path / "ledger", Random(4), 60, began=BEGAN + n * 10**12) for n in range(2)]
    one, two = (fleet.place for fleet in fleets)
    for series, points in two.there.items():
        one.there[series] += points
    one.letters += two.letters
    between = ("n-000", "level"), (BEGAN + 5 * 10**11, 1.0)
    one.there[between[0]].append(between[1])
    verdict = await verify(tmp_path / "ledger", one, one, wait_seconds=0)
    assert verdict.ok, verdict.examples
    assert verdict.published == sum(message.acked for fleet in fleets for message in fleet.messages)


async def test_without_a_ledger_nothing_can_be_said(tmp_path: Path, fleet: Fleet) -> None:
    with pytest.raises(LedgerError):
        await verify(tmp_path / "none", fleet.place, None, wait_seconds=0)


def _lose(fleet: Fleet, message: Message) -> None:
    fleet.lose(message)


def _double(fleet: Fleet, message: Message) -> None:
    fleet.store(message, "level", message.points["level"])


def _spoil(fleet: Fleet, message: Message) -> None:
    fleet.lose(message, "mode")
    fleet.store(message, "mode", f"not-{message.points['mode']}")


def _misroute(fleet: Fleet, message: Message) -> None:
    fleet.store(message, "elsewhere", fleet.lose(message, "mode"))


def _invent(fleet: Fleet, message: Message) -> None:
    fleet.store(message, "invented", -float(message.number))


def _reject(fleet: Fleet, message: Message) -> None:
    fleet.place.letters.append((message.payload, "bad_value"))


def _reject_whole(fleet: Fleet, message: Message) -> None:
    for metric in message.points:
        fleet.lose(message, metric)
    _reject(fleet, message)


PLANTS: dict[Callable[[Fleet, Message], None], dict[str, int]] = {
    _lose: {"lost": 1},
    _double: {"duplicates": 1},
    _spoil: {"lost": 1, "wrong": 1},
    _misroute: {"lost": 1, "misrouted": 1},
    _invent: {"accepted": 1},
    _reject: {"rejected": 1},
    _reject_whole: {"rejected": 1},
}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.lists(st.sampled_from(list(PLANTS)), max_size=15))
async def test_whatever_is_wrong_is_counted_exactly(seed: int, plants: list[Callable[[Fleet, Message], None]]) -> None:
    rng = Random(seed)
    with TemporaryDirectory() as directory:
        path = Path(directory)
        fleet = Fleet(path / "ledger", rng, 120)
        timed = [m for m in fleet.messages if m.fine() and not m.late]
        wanted: dict[str, int] = {}
        for plant, message in zip(plants, rng.sample(timed, len(plants)), strict=True):
            plant(fleet, message)
            for name, count in PLANTS[plant].items():
                wanted[name] = wanted.get(name, 0) + count
        verdict = await check(path, fleet)
        assert mistakes(verdict) == wanted, verdict.examples


async def test_what_devices_say_when_they_come_is_not_counted(tmp_path: Path) -> None:
    ledger = LedgerFile(tmp_path / "ledger", Run(1, BEGAN, [Member(0, "n-000", "n-000", 0)]), logs.quiet())
    ledger.batch(Batch(0, [0, 0], [b"t"] * 2, [b"online", b"1"], [0, 0], [BEGAN] * 2, ["", ""], [Expect.STORED] * 2))
    ledger.batch(
        Batch(2, [0], [b"t"], [b"{}"], [0], [BEGAN], [""], [Expect.STORED], [Block([0], [0], [BEGAN], {"m": [1.0]})])
    )
    ledger.sent([0, 1, 2], BEGAN)
    ledger.acked([0, 1, 2], BEGAN)
    ledger.close()
    place = Place()
    place.there["n-000", "m"] = [(BEGAN, 1.0)]
    verdict = await verify(tmp_path / "ledger", place, place, wait_seconds=0)
    assert (verdict.ok, verdict.published, verdict.stored, verdict.unacked) == (True, 1, 1, 0)

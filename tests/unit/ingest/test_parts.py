"""What becomes of messages that speak for several devices."""

from collections import Counter

import pytest

from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.devices import DeviceRecord, Metric
from contracts.presence import PRESENCE_MESSAGE, Presence
from contracts.readings import READING_BATCH, Reading
from ingest.admit import Admission
from ingest.cycle import Cycle
from ingest.descriptions import Descriptions
from ingest.outcomes import Arrival, Decoded, Ignored, Outcome, Problems, State
from ingest.parts import MOST_REFUSED, Parts
from ingest.rates import RateLimits
from ingest.routes import Routes
from ingest.table import Row

NOW = 1_767_225_700_000_000_000
ARRIVAL = Arrival("gateway/up", b"{}", NOW)
ROUTE = Routes([Row("gateway", ["gateway/up"], "json")], 0).of(ARRIVAL)


class Sorted:
    """One message sorted into a cycle."""

    def __init__(self, decoded: Decoded, records: dict[str, DeviceRecord], *, register: bool = False) -> None:
        self.told: list[tuple[str, Reason]] = []
        self.requests: list[tuple[str, bytes]] = []
        self.records = records
        admission = Admission(records.get, RateLimits(), register=register)
        self.parts = Parts(
            admission,
            Descriptions(records.__contains__),
            lambda device, reason, _, __: self.told.append((device, reason)),
            lambda topic, payload: self.requests.append((topic, payload)),
        )
        self.cycle = Cycle(4, "ingest-a")
        self.sort(decoded)

    def sort(self, decoded: Decoded, arrival: Arrival = ARRIVAL) -> None:
        assert ROUTE is not None
        self.cycle = Cycle(4, "ingest-a")
        self.parts.sort(self.cycle, arrival, ROUTE, decoded)
        self.parts.finish(self.cycle, NOW)

    def _on(self, subject: str) -> list[bytes]:
        return [body for where, body in self.cycle.outgoing(500) if where.startswith(subject)]

    @property
    def readings(self) -> list[Reading]:
        return [reading for body in self._on("telemetry.") for reading in READING_BATCH.decode(body).readings]

    @property
    def letters(self) -> list[DeadLetter]:
        return [DEAD_LETTER.decode(body) for body in self._on("deadletters.")]

    @property
    def presences(self) -> list[Presence]:
        return [PRESENCE_MESSAGE.decode(body) for body in self._on("presence.")]

    @property
    def outcomes(self) -> Counter[tuple[Outcome, str]]:
        return self.cycle.outcomes


def records(*names: str, **metrics: Metric) -> dict[str, DeviceRecord]:
    return {name: DeviceRecord(1, name, enabled=True, profile="", metrics=metrics) for name in names}


def readings(*devices: str, **values: float) -> list[Reading]:
    return [Reading(device, NOW, NOW, {**values} or {"n": 1.0}) for device in devices]


def test_each_device_of_a_message_is_admitted_by_itself() -> None:
    got = Sorted(Decoded(readings("a", "stranger", "b")), records("a", "b"))
    assert {reading.device for reading in got.readings} == {"a", "b"}
    [letter] = got.letters
    assert (letter.device, letter.reason, letter.payload) == ("stranger", Reason.UNKNOWN_DEVICE, b"{}")
    assert (letter.route, letter.decoder, letter.receiver) == ("gateway", "json", "ingest-a")
    assert got.outcomes == {(Outcome.STORED, Reason.UNKNOWN_DEVICE): 1}
    assert got.told == [("stranger", Reason.UNKNOWN_DEVICE)]


def test_a_message_of_strangers_alone_is_rejected_and_each_has_its_dead_letter() -> None:
    got = Sorted(Decoded(readings("a", "b")), {})
    assert got.readings == []
    assert [letter.device for letter in got.letters] == ["a", "b"]
    assert got.outcomes == {(Outcome.REJECTED, Reason.UNKNOWN_DEVICE): 1}


def test_many_strangers_in_one_message_share_a_dead_letter() -> None:
    names = [f"s{number}" for number in range(MOST_REFUSED + 1)]
    got = Sorted(Decoded(readings(*names)), {})
    [letter] = got.letters
    assert letter.device == ""
    assert "readings of 17 such devices" in letter.detail
    assert len(got.told) == MOST_REFUSED


def test_a_replay_takes_the_part_of_its_device_alone() -> None:
    got = Sorted(Decoded(readings("a", "b")), {})
    got.records |= records("a")
    got.sort(Decoded(readings("a", "b")), Arrival("gateway/up", b"{}", NOW, replayed=True, about="a"))
    assert [reading.device for reading in got.readings] == ["a"]
    assert got.letters == []
    assert got.outcomes == {(Outcome.STORED, ""): 1}


def test_a_whole_message_that_is_replayed_and_refused_again_has_one_dead_letter() -> None:
    got = Sorted(Decoded(readings("a", "b")), {})
    got.sort(Decoded(readings("a", "b", "c")), Arrival("gateway/up", b"{}", NOW, replayed=True))
    assert [letter.device for letter in got.letters] == [""]


def test_a_profile_that_refuses_every_value_rejects_the_message() -> None:
    got = Sorted(Decoded(readings("a", n=7.0)), records("a", n=Metric(max=5)))
    assert got.readings == []
    assert [(letter.device, letter.reason) for letter in got.letters] == [("a", Reason.OUT_OF_RANGE)]
    assert got.outcomes == {(Outcome.REJECTED, Reason.OUT_OF_RANGE): 1}


def test_units_are_turned_into_the_profiles() -> None:
    got = Sorted(Decoded(readings("a", n=50.0), units={"a": {"n": "°F"}}), records("a", n=Metric(unit="degC")))
    assert [reading.values for reading in got.readings] == [{"n": 10.0}]


def test_a_unit_that_changes_is_flagged_and_told_to_the_registry() -> None:
    got = Sorted(Decoded(readings("a", n=1.0), units={"a": {"n": "degC"}}), records("a"))
    assert got.readings[0].flags == {}
    assert [presence.facts for presence in got.presences] == [{"unit.n": "degC"}]
    got.sort(Decoded(readings("a", n=34.0), units={"a": {"n": "degF"}}))
    assert got.readings[0].flags == {"unit_changed": "'n'"}
    assert [presence.facts for presence in got.presences] == [{"unit.n": "degF"}]


def test_states_of_strangers_are_not_passed_on_and_others_with_their_reason() -> None:
    decoded = Decoded((), ignored=Ignored.PRESENCE, states=[State("a", online=False, at=5, reason="will")])
    assert Sorted(decoded, records("a")).presences == [Presence(1, "a", "offline", 5, "will")]
    stranger = Sorted(decoded, {})
    assert stranger.presences == []
    assert stranger.outcomes == {(Outcome.IGNORED, Ignored.UNKNOWN_DEVICE): 1}
    assert Sorted(decoded, {}, register=True).presences == [Presence(1, "a", "offline", 5, "will")]


def test_a_replay_changes_no_state() -> None:
    got = Sorted(Decoded(readings("a")), records("a"))
    decoded = Decoded((), ignored=Ignored.PRESENCE, states=[State("a", online=True, at=5)], facts={"a": {"x": "y"}})
    got.sort(decoded, Arrival("gateway/up", b"{}", NOW, replayed=True))
    assert got.presences == []


def test_facts_wait_until_the_registry_has_the_device() -> None:
    got = Sorted(Decoded((), ignored=Ignored.METADATA, facts={"a": {"model": "X"}}), {}, register=True)
    assert got.presences == []
    got.records |= records("a")
    got.parts.registered("a")
    got.sort(Decoded((), ignored=Ignored.EMPTY))
    assert [presence.facts for presence in got.presences] == [{"model": "X"}]


def test_what_a_decoder_asks_for_is_published() -> None:
    got = Sorted(Decoded((), ignored=Ignored.EVENT, requests=[("to/node", b"x")]), {})
    assert got.requests == [("to/node", b"x")]


@pytest.mark.parametrize("why", list(Ignored))
def test_an_ignored_message_is_counted_by_why_and_by_its_decoder(why: Ignored) -> None:
    got = Sorted(Decoded((), ignored=why), {})
    expected = Ignored.UNKNOWN_DEVICE if why is Ignored.PRESENCE else why
    assert got.outcomes == {(Outcome.IGNORED, expected): 1}
    assert got.cycle.ignored == {("json", expected): 1}


def test_a_bad_part_keeps_the_device_if_the_message_is_about_one() -> None:
    problems = Problems()
    problems.add(Reason.BAD_VALUE, "no")
    assert [letter.device for letter in Sorted(Decoded(readings("a"), problems), records("a")).letters] == ["a"]
    both = Sorted(Decoded(readings("a", "b"), problems), records("a", "b"))
    assert [letter.device for letter in both.letters] == [""]

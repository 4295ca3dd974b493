"""Whatever is lost, late, restarted or replayed: no value is stored under the name of another metric."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.deadletters import Reason
from ingest.outcomes import Decoded
from ingest.sparkplug.payload import Payload
from tests.unit.ingest.decoding import NOW, Ingest
from tests.unit.ingest.edge import Edge, Message

SECOND = 1_000_000_000
DEVICES = ["", "t"]
NAMES = ["Level", "Flow"]
TRUTH = {(device, name): float(10 * d + n) for d, device in enumerate(DEVICES) for n, name in enumerate(NAMES)}
"""What each metric always measures: a value tells whose it is."""


class Works:
    """A node, a broker that loses what is not acknowledged, and an ingest; `steps` are what may happen.

    What Sparkplug and MQTT promise holds here too: a connection that ends is told by its will; a node that is asked
    for a birth gives it as things are, and changes no alias of its own accord within the time for the answer. And since
    a sequence number has 256 values, a message after a loss never happens to have the one that was expected.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = NOW
        self.node = Edge()
        self.ingest = Ingest()
        self.connected = True
        self.wills: list[Message] = []  # that the broker keeps for ingest
        self.late: Message | None = None
        self.letters: list[tuple[Message, int]] = []
        self.translated = 0  # letters
        self.last: int | None = None
        self.missed = self.birth_missed = self.asked = False
        self.name_anew(DEVICES)

    def go(self, steps: int) -> None:
        likely = {self.sends: 8, self.answers: 8, self.letters_are_replayed: 6, self.is_overtaken: 2}
        others = [self.is_configured, self.configures_a_device, self.loses_a_device, self.reboots, self.connects]
        likely |= dict.fromkeys([*others, self.is_cut_off, self.time_passes], 1)
        for step in self.random.choices(list(likely), list(likely.values()), k=steps):
            step()

    def lost(self) -> bool:
        return self.random.random() < 0.2

    def name_anew(self, devices: list[str]) -> None:
        for (device, name), alias in zip(TRUTH, self.random.sample(range(len(TRUTH)), len(TRUTH)), strict=True):
            if device in devices:
                self.node.aliases.setdefault(device, {})[name] = alias

    def born(self, device: str) -> Message:
        values = {name: TRUTH[device, name] for name in NAMES}
        return self.node.device_birth(device, values) if device else self.node.birth(values)

    def births(self) -> None:
        self.catch_up()
        for device in DEVICES:
            self.publish(self.born(device), lost=self.lost())

    def publish(self, message: Message, *, lost: bool = False) -> None:
        """Send a message at QoS 0."""
        self.now += 1_000_000
        kind, seq = message[0].split("/")[2], Payload.FromString(message[1]).seq
        expected = None if self.last is None else (self.last + 1) % 256
        if kind != "NBIRTH" and self.missed and seq == expected:
            lost = True
        if lost or not self.connected:
            self.missed = True
            self.birth_missed |= kind == "NBIRTH"
            return
        self.missed, self.last = False, seq
        self.birth_missed &= kind != "NBIRTH"
        self.take(message, self.now)

    def catch_up(self) -> None:
        if (message := self.late) is not None:
            self.late = None
            self.publish(message)

    def take(self, message: Message, at: int, *, replayed: bool = False) -> None:
        decoded = self.ingest.decode(message[0], message[1], at=at, replayed=replayed)
        self.check(decoded)
        if decoded.problems is not None:
            assert decoded.problems.reason is Reason.UNKNOWN_ALIAS
            self.letters.append((message, at))
        else:
            self.translated += replayed
        self.asked |= bool(decoded.requests)

    @staticmethod
    def check(decoded: Decoded) -> None:
        for reading in decoded.readings:
            device = reading.device.removeprefix("Works:Pump House").lstrip(":")
            for name, value in reading.values.items():
                assert TRUTH[device, name] == value, f"{value} is not {device} {name}"

    def sends(self) -> None:
        device, name = self.random.choice(list(TRUTH))
        named = self.random.random() < 0.1
        message = self.node.data(device, named=named, values={name: TRUTH[device, name]})
        self.publish(message, lost=self.lost())
        self.catch_up()

    def answers(self) -> None:
        if self.asked:
            self.asked = False
            self.births()

    def is_overtaken(self) -> None:
        if self.late is None and self.connected and not self.birth_missed:
            device, name = self.random.choice(list(TRUTH))
            birth = device and self.random.random() < 0.5
            self.late = self.born(device) if birth else self.node.data(device, values={name: TRUTH[device, name]})

    def is_configured(self) -> None:
        self.catch_up()
        self.now += 11 * SECOND
        self.name_anew(DEVICES)
        self.births()

    def configures_a_device(self) -> None:
        self.now += 11 * SECOND
        self.name_anew(["t"])
        self.publish(self.born("t"), lost=self.lost())
        self.catch_up()

    def loses_a_device(self) -> None:
        self.publish(self.node.device_death("t"), lost=self.lost())
        self.catch_up()

    def reboots(self) -> None:
        self.catch_up()
        will = self.node.death()
        self.node.connect_again()
        self.asked = False
        if self.connected:
            self.now += 1_000_000
            self.take(will, self.now)
        else:
            self.wills.append(will)
        self.name_anew(DEVICES)
        self.births()

    def is_cut_off(self) -> None:
        self.late, self.connected = None, False

    def connects(self) -> None:
        self.now += 1_000_000
        self.late, self.connected, self.asked = None, True, False
        if self.random.random() < 0.5:
            self.ingest = self.ingest.restarted()
        self.ingest.context.memory.doubt(self.now)
        self.last, self.missed, self.birth_missed = None, False, False
        wills, self.wills = self.wills, []
        for will in wills if self.random.random() < 0.5 else []:
            self.now += 1_000_000
            self.take(will, self.now)

    def time_passes(self) -> None:
        self.now += self.random.choice([1, 5, 40]) * SECOND

    def letters_are_replayed(self) -> None:
        letters, self.letters = self.letters[-10:], []
        for message, at in letters:
            self.take(message, at, replayed=True)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_value_is_stored_under_the_name_of_another_metric(seed: int) -> None:
    Works(Random(seed)).go(200)


def test_letters_are_translated_all_the_same() -> None:
    translated = 0
    for seed in range(20):
        works = Works(Random(seed))
        works.go(200)
        translated += works.translated
    assert translated > 10

"""Sparkplug nodes of a fleet: births, numbers, and rebirths when ingest asks for one."""

from contracts.deadletters import Reason
from ingest.outcomes import Decoded
from ingest.sparkplug.metrics import number
from ingest.sparkplug.payload import read
from simulators.formats.sparkplug import Sparkplug
from simulators.plan.batch import Batch
from simulators.plan.devices import Device
from simulators.plan.load import SECOND, Load, Phase
from simulators.plan.plan import Part, Plan
from tests.unit.ingest.decoding import Ingest
from tests.unit.simulators.fleet_of_fakes import BEGAN, Numbers

GATEWAY = Device(10, "gw-1", 0, 10)
CHILDREN = [Device(20, "t-1", 1, 10), Device(21, "t-2", 1, 10)]
ALONE = Device(11, "gw-2", 0, 11)


class Fleet:
    """A gateway with two devices behind it, which are another part; and a device of its own."""

    def __init__(self) -> None:
        self.format = Sparkplug()
        self.gateways = Part(Numbers(), self.format, [GATEWAY, ALONE], 1.0)
        self.children = Part(Numbers(), self.format, CHILDREN, 1.0)
        self.plan = Plan(1, [self.gateways, self.children], Load([Phase(400.0)]))
        self.devices = {device.number: device for device in [GATEWAY, ALONE, *CHILDREN]}
        self.ingest = Ingest()
        self.now = BEGAN

    def births(self, devices: list[Device]) -> list[Batch]:
        """Open devices as their connection does: gateways first."""
        return [
            self.plan.opening([device for device in devices if device in part.devices], self.now, part)
            for part in (self.gateways, self.children)
        ]

    def stamped(self, batch: Batch) -> list[tuple[str, bytes]]:
        return [
            (topic.decode(), self.format.stamp(topic, payload))
            for topic, payload in zip(batch.topics, batch.payloads, strict=True)
        ]

    def take(self, messages: list[tuple[str, bytes]]) -> list[Decoded]:
        found = []
        for topic, payload in messages:
            self.now += SECOND
            found.append(self.ingest.decode(topic, payload, at=self.now))
        return found

    def data(self) -> list[Batch]:
        return next(self.plan.slices(self.now, 2.0))


def sequence(payload: bytes) -> int | None:
    message = read(payload, 1 << 20)
    return int(message.seq) if message.HasField("seq") else None


def test_a_node_is_born_before_the_devices_behind_it_and_once() -> None:
    fleet = Fleet()
    topics = [topic for batch in fleet.births(list(fleet.devices.values())) for topic, _ in fleet.stamped(batch)]
    assert topics == [
        "spBv1.0/fleet/NBIRTH/edge-10",
        "spBv1.0/fleet/DBIRTH/edge-10/gw-1",
        "spBv1.0/fleet/NBIRTH/edge-11",
        "spBv1.0/fleet/DBIRTH/edge-11/gw-2",
        "spBv1.0/fleet/DBIRTH/edge-10/t-1",
        "spBv1.0/fleet/DBIRTH/edge-10/t-2",
    ]


def test_the_messages_of_a_node_are_numbered_from_its_birth_and_begin_again_after_255() -> None:
    fleet = Fleet()
    numbers: dict[str, list[int | None]] = {"edge-10": [], "edge-11": []}
    batches = fleet.births(list(fleet.devices.values()))
    for slice_ in fleet.plan.slices(BEGAN, 100.0):
        batches += slice_
    for batch in batches:
        for topic, payload in fleet.stamped(batch):
            numbers[topic.split("/")[3]].append(sequence(payload))
    for found in numbers.values():
        assert len(found) > 256
        assert found == [at % 256 for at in range(len(found))]


def test_data_name_metrics_by_alias_alone() -> None:
    fleet = Fleet()
    for batch in fleet.data():
        for payload in batch.payloads:
            metrics = read(payload, 1 << 20).metrics
            assert all(metric.HasField("alias") and not metric.name for metric in metrics)
            assert len(metrics) == 3


def test_after_a_message_is_lost_the_rebirth_that_is_asked_for_makes_aliases_good_again() -> None:
    fleet = Fleet()
    for batch in fleet.births(list(fleet.devices.values())):
        fleet.take(fleet.stamped(batch))
    messages = [message for batch in fleet.data() for message in fleet.stamped(batch)]
    messages.remove(next(message for message in messages if "edge-10" in message[0]))
    decoded = fleet.take(messages)
    [(topic, command)] = [request for one in decoded for request in one.requests]
    letters = [one.problems.reason for one in decoded if one.problems]
    assert set(letters) == {Reason.UNKNOWN_ALIAS}

    asked = [device for device in fleet.devices.values() if fleet.format.asks(device, topic, command)]
    assert asked == [GATEWAY, *CHILDREN]
    assert all(topic in fleet.format.subscriptions(device) for device in asked)
    for batch in [*fleet.births(asked), *fleet.data()]:
        for one in fleet.take(fleet.stamped(batch)):
            assert one.problems is None
            assert not one.requests


def test_a_message_without_a_number_is_translated_and_leaves_the_session_as_it_is() -> None:
    fleet = Fleet()
    for batch in fleet.births(list(fleet.devices.values())):
        fleet.take(fleet.stamped(batch))
    bare = [(batch.topics[0].decode(), batch.payloads[0]) for batch in fleet.data()]
    numbered = [message for batch in fleet.data() for message in fleet.stamped(batch)]
    for decoded in fleet.take([*bare, *numbered]):
        assert decoded.readings
        assert decoded.problems is None
        assert not decoded.requests


def test_a_command_that_asks_for_no_rebirth_is_none() -> None:
    device_format, topic = Sparkplug(), "spBv1.0/fleet/NCMD/edge-10"
    assert not device_format.asks(GATEWAY, topic, b"")
    assert not device_format.asks(GATEWAY, topic, b"\x12\x18\x0a\x14Node Control/Rebirth\x70\x00")
    assert device_format.asks(GATEWAY, topic, b"\x12\x18\x0a\x14Node Control/Rebirth\x70\x01")
    assert not device_format.asks(ALONE, topic, b"\x12\x18\x0a\x14Node Control/Rebirth\x70\x01")


def test_a_will_has_the_number_of_the_birth_that_follows_it() -> None:
    fleet = Fleet()
    for connection in range(3):
        will = fleet.format.will(ALONE)
        [birth, _] = fleet.stamped(fleet.births([ALONE])[0])
        assert will.topic == b"spBv1.0/fleet/NDEATH/edge-11"
        assert not will.retain
        assert number(read(will.payload, 1 << 20)) == number(read(birth[1], 1 << 20)) == connection
        fleet.take([birth])
        dead = fleet.ingest.decode(will.topic.decode(), will.payload, at=fleet.now + SECOND)
        assert dead.states
        assert not any(state.online for state in dead.states)

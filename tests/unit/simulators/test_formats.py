"""Every format, and what ingest makes of it: the very points that the plan says, exact to the last bit."""

import struct
from collections.abc import Collection, Iterator, Mapping
from importlib import resources
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from contracts.readings import Value
from contracts.units import canonical
from ingest import table
from ingest.outcomes import Decoded
from simulators.faults.injector import Act, Draft
from simulators.formats import FORMATS, format_named
from simulators.formats.wire import Encoded
from simulators.models.library import model, shipped
from simulators.models.model import Children, Event, Int64s, Metric, Model
from simulators.plan.batch import ARRIVAL, Batch
from simulators.plan.devices import Device
from simulators.plan.load import SECOND, Load, Phase
from simulators.plan.plan import Part, Plan
from simulators.running.parts import Group, parts_of
from tests.unit.ingest.decoding import Ingest

BEGAN = 1_767_225_600_123_456_789
ROWS = table.read(Path(str(resources.files("simulators.formats").joinpath("routes.toml"))))
DEVICES = [
    Device(2_000_000_040, "gw-001", 0, 2_000_000_040),
    Device(2_000_000_041, "env-001", 0, 2_000_000_040),
    Device(2_000_000_042, "env-002", 0, 2_000_000_040),
    Device(7, "p-9", 0, 7),
]

_TEXTS = ["idle", "run", 'a "quoted", comma', "back\\slash", "zwölf Grad = viel", "two\nlines"]


class Fake:
    """A model whose values are awkward ones of each type."""

    prefix = "fake"
    children: Children | None = None
    event_names: Collection[str] = ()

    def __init__(self, name: str, /, **types: str) -> None:
        self.name = name
        self.metrics: Mapping[str, Metric] = {metric: Metric(kind) for metric, kind in types.items()}  # type: ignore[arg-type]  # they are

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[Value]]:
        return {
            name: [
                self._value(metric, Random(f"{seed}/{device}/{at}/{name}"))
                for device, at in zip(devices, ts, strict=True)
            ]
            for name, metric in self.metrics.items()
        }

    def events(self, seed: int, devices: Int64s, start: int, end: int) -> list[Event]:
        del seed, devices, start, end
        return []

    def _value(self, metric: Metric, rng: Random) -> Value:
        if metric.type == "boolean":
            return rng.random() < 0.5
        if metric.type == "text":
            return rng.choice(_TEXTS)
        return rng.choice(
            [
                round(rng.uniform(-40, 90), 2),
                float(rng.randrange(100)),
                0.1 + 0.2,
                rng.uniform(-1e300, 1e300),
                2.5e-308,
                1e16,
                rng.random() * 1e-9,
                -273.15,
            ]
        )


MODELS: list[Model] = [
    Fake("numbers", temperature="number", humidity="number", supply_pressure="number"),
    Fake("mixed", running="boolean", state="text", flow_rate="number", battery="number", open="boolean"),
    Fake("one", temperature="number"),
    model("environment"),
    model("vehicle"),
]

MEANT_OTHERWISE = [
    "id", "type", "time", "set", "info", "min", "max", "status", "state", "name", "model", "ts", "mac", "unit",
    "errors", "gateway", "packet", "serial", "device", "values", "value", "update", "action", "command", "config",
    "error", "timestamp", "channel", "frequency", "rssi", "snr", "online", "location", "firmware", "settings",
    "product_name", "firmware_version", "device_instance", "friendly_name", "last_seen", "tst", "sequence",
    "sequence_num", "temp_unit", "announce",
]  # fmt: skip
ODD_NAMES = Fake("odd names", **dict.fromkeys(MEANT_OTHERWISE, "number"))
"""A model whose metrics have names that some conventions use for something else."""


class Gaps:
    """An injector that leaves values out of some readings, and takes the clock from some devices."""

    def before(self, draft: Draft) -> None:
        for row in range(len(draft.devices)):
            for at, column in enumerate(draft.columns.values()):
                if (row + at) % 3 == 2:
                    column[row] = None
            if row % 5 == 4:
                draft.ts[row] = None

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        del draft, encoded, batch

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        del began, start, end
        return []


class WrongClocks(Gaps):
    """An injector that lets clocks begin in 1970, an hour ahead, or a day back; the first two cannot be true."""

    def before(self, draft: Draft) -> None:
        for row, due in enumerate(draft.due):
            draft.ts[row] = [due - BEGAN, due + 3_600 * SECOND, due - 86_400 * SECOND][row % 3]
            if row % 3 != 2:
                draft.arrival.add(row)


class Pipeline:
    """Ingest with a fleet's routing table, that takes batches as they are sent."""

    def __init__(self, plan: Plan, *parts: Part) -> None:
        self.ingest = Ingest(whole=ROWS)
        self.plan, self.format = plan, parts[0].format
        self.devices = {device.number: device for part in parts for device in part.devices}

    def take(self, batch: Batch) -> list[Decoded]:
        """Send a batch, and check that what is made of it is what it says."""
        found, arrived = [], {}
        for place in range(len(batch)):
            arrived[place] = batch.intended[place] + 3_000_001 + place
            found.append(self.send(batch, place, arrived[place]))
        expected = {}
        for block in batch.blocks:
            for name, column in block.columns.items():
                for message, number, ts, value in zip(block.messages, block.devices, block.ts, column, strict=True):
                    if value is not None:
                        at = arrived[message] if ts == ARRIVAL else ts
                        expected[self.plan.stored(number).device, name, at] = exact(value)
        made = {
            (reading.device, name, reading.ts): exact(value)
            for decoded in found
            for reading in decoded.readings
            for name, value in reading.values.items()
        }
        assert made == expected
        return found

    def send(self, batch: Batch, place: int, at: int) -> Decoded:
        payload = self.format.stamp(batch.topics[place], batch.payloads[place])
        decoded = self.ingest.decode(batch.topics[place].decode(), payload, at=at)
        assert decoded.problems is None, (batch.topics[place], payload, decoded.problems.detail)
        return decoded


def exact(value: Value) -> tuple[str, object]:
    """Make values equal only if they are of one type and the same to the last bit."""
    return type(value).__name__, struct.pack("<d", value) if type(value) is float else value


def carries(name: str, model: Model) -> bool:
    try:
        format_named(name).stored(DEVICES[0], model.metrics)
    except ValueError:
        return False
    return True


def has_will(name: str) -> bool:
    return format_named(name).will(DEVICES[-1]) is not None


CARRIED = [
    pytest.param(name, model, id=f"{name}-{model.name}") for name in FORMATS for model in MODELS if carries(name, model)
]
AT_LEAST_ONE = [pytest.param(name, next(m for m in MODELS if carries(name, m)), id=name) for name in FORMATS]


def fleet(name: str, model: Model, injector: Gaps | None = None) -> tuple[Plan, Part]:
    part = Part(model, format_named(name), DEVICES, 0.25, injector)
    return Plan(5, [part], Load([Phase(40.0)])), part


def sent(plan: Plan, part: Part) -> Iterator[Batch]:
    yield plan.opening(part.devices, BEGAN - SECOND, part)
    for batches in plan.slices(BEGAN, 8.0):
        yield from batches


@pytest.mark.parametrize(("name", "model"), CARRIED)
def test_what_a_format_writes_is_stored_exactly_as_planned(name: str, model: Model) -> None:
    plan, part = fleet(name, model)
    pipeline = Pipeline(plan, part)
    batches = list(sent(plan, part))
    for batch in batches:
        pipeline.take(batch)
    assert sum(len(batch.blocks) for batch in batches) > 0


@pytest.mark.parametrize("name", [name for name in FORMATS if carries(name, ODD_NAMES)])
def test_a_metric_whose_name_means_something_else_is_carried_or_left_out(name: str) -> None:
    plan, part = fleet(name, ODD_NAMES)
    pipeline = Pipeline(plan, part)
    for batch in islice(sent(plan, part), 2):
        pipeline.take(batch)
    assert len(plan.stored(part.devices[0].number).metrics) > len(MEANT_OTHERWISE) // 2


@pytest.mark.parametrize(("name", "model"), CARRIED)
@pytest.mark.parametrize("injector", [Gaps(), WrongClocks()], ids=["gaps", "wrong-clocks"])
def test_readings_with_gaps_or_with_clocks_that_are_wrong_are_stored_as_planned(
    name: str, model: Model, injector: Gaps
) -> None:
    plan, part = fleet(name, model, injector)
    pipeline = Pipeline(plan, part)
    for batch in sent(plan, part):
        pipeline.take(batch)


@pytest.mark.parametrize(("name", "model"), AT_LEAST_ONE)
def test_whoever_has_said_that_it_is_online_says_when_it_leaves(name: str, model: Model) -> None:
    plan, part = fleet(name, model)
    pipeline = Pipeline(plan, part)
    opened = pipeline.take(plan.opening(part.devices, BEGAN, part))
    closed = pipeline.take(plan.closing(part.devices, BEGAN + SECOND, part))
    online = {state.device for decoded in opened for state in decoded.states if state.online}
    assert {state.device for decoded in closed for state in decoded.states if not state.online} >= online


@pytest.mark.parametrize(("name", "model"), [one for one in AT_LEAST_ONE if has_will(str(one.values[0]))])
def test_a_will_says_that_its_device_or_the_gateway_that_it_is_is_gone(name: str, model: Model) -> None:
    plan, part = fleet(name, model)
    pipeline = Pipeline(plan, part)
    alone = part.devices[-1]
    will = part.format.will(alone)
    assert will is not None
    opened = pipeline.take(plan.opening([alone], BEGAN, part))
    gone = pipeline.ingest.decode(will.topic.decode(), will.payload, at=BEGAN + SECOND)
    somebody = {plan.stored(alone.number).device, *(state.device for decoded in opened for state in decoded.states)}
    assert somebody & {state.device for state in gone.states if not state.online}


@pytest.mark.parametrize(("name", "model"), AT_LEAST_ONE)
def test_the_same_seed_gives_the_same_bytes(name: str, model: Model) -> None:
    first, second = (list(sent(*fleet(name, model))) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_has_the_name_it_is_registered_by(name: str) -> None:
    assert format_named(name).name == name


def test_a_format_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'jsonn'.*senml-cbor"):
        format_named("jsonn")


@pytest.mark.parametrize("name", ["owntracks", "ruuvi", "teslamate"])
def test_a_convention_with_words_of_its_own_refuses_a_model_that_it_has_none_for(name: str) -> None:
    with pytest.raises(ValueError, match="and the model has n"):
        fleet(name, MODELS[1])


@pytest.mark.parametrize("name", FORMATS)
def test_the_shipped_models_are_stored_as_planned_and_in_their_units(name: str) -> None:
    carried = 0
    for shape in map(model, shipped()):
        parts = parts_of([Group(shape, format_named(name), 2, 0.25)], 5)
        try:
            plan = Plan(5, parts, Load([Phase(8.0)]))
        except ValueError:
            continue  # it has nothing that this format has words for
        carried += 1
        pipeline = Pipeline(plan, *parts)
        found = [pipeline.take(plan.opening(part.devices, BEGAN - SECOND, part)) for part in parts]
        found += [pipeline.take(batch) for batches in plan.slices(BEGAN, 8.0) for batch in batches]
        meant = {
            (plan.stored(device.number).device, named): part.model.metrics[metric].unit
            for part in parts
            for device in part.devices
            for metric, named in plan.stored(device.number).metrics.items()
        }
        for units in (decoded.units or {} for batch in found for decoded in batch):
            for device, told in units.items():
                for named, unit in told.items():
                    assert canonical(unit) == canonical(meant.get((device, named), unit)), named
    assert carried


def test_the_readme_says_what_each_format_is() -> None:
    text = (Path(str(resources.files("simulators"))) / "README.md").read_text()
    assert [name for name in FORMATS if f"`{name}`" not in text] == []

"""Readings with faults, taken by ingest's own code: what becomes of each, beside what the truth says."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from contracts.deadletters import Reason
from contracts.devices import DeviceRecord
from contracts.devices import Metric as Rule
from contracts.readings import Value
from ingest import table
from ingest.admit import Admission
from ingest.limits import Limits
from ingest.outcomes import Arrival, Problems
from ingest.rates import RateLimits
from ingest.routes import Routes
from simulators.faults.inject import FAULTS, Faults
from simulators.faults.target import Target
from simulators.formats import format_named
from simulators.models.model import Children, Event, Int64s, Metric
from simulators.models.noise import stream, uniform
from simulators.plan.batch import ARRIVAL, Batch, Expect
from simulators.plan.devices import Device
from simulators.plan.load import SECOND, Load, Phase
from simulators.plan.plan import Part, Plan
from tests.unit.ingest.decoding import AHEAD, Ingest

BEGAN = 1_767_225_600_000_000_000
HIGHEST = 500.0
"""Of what the profile allows."""

_ROUTES = Path(str(resources.files("simulators.formats").joinpath("routes.toml")))


class Boiler:
    """A model with two numbers, a boolean and a text."""

    name, prefix = "boiler", "b"
    children: Children | None = None
    metrics: Mapping[str, Metric] = {
        "temperature": Metric("number", "degC"),
        "humidity": Metric("number", "%"),
        "open": Metric("boolean"),
        "mode": Metric("text"),
    }
    event_names: Collection[str] = ()

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[Value]]:
        return {
            "temperature": uniform(seed, stream("temperature"), devices, ts).round(2).tolist(),
            "humidity": (20 + uniform(seed, stream("humidity"), devices, ts)).round(2).tolist(),
            "open": [at % 2 == 0 for at in ts.tolist()],
            "mode": ["idle" if at % 3 else "run" for at in ts.tolist()],
        }

    def events(self, seed: int, devices: Int64s, start: int, end: int) -> list[Event]:
        del seed, devices, start, end
        return []


class Numbers(Boiler):
    """The numbers of it alone."""

    name = "numbers"
    metrics: Mapping[str, Metric] = {name: m for name, m in Boiler.metrics.items() if m.type == "number"}

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[Value]]:
        return {name: column for name, column in super().values(seed, devices, ts).items() if name in self.metrics}


class Van(Boiler):
    """What a vehicle measures."""

    name = "van"
    metrics: Mapping[str, Metric] = {
        "latitude": Metric("number", "deg"),
        "longitude": Metric("number", "deg"),
        "speed": Metric("number", "km/h"),
        "battery": Metric("number", "%"),
    }

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[Value]]:
        return {name: uniform(seed, stream(name), devices, ts).round(2).tolist() for name in self.metrics}


def fleet(
    faults: Sequence[dict[str, Any]],
    *,
    spoken: str = "json",
    count: int = 4,
    rate: float = 1.0,
    seconds: float = 20.0,
    seed: int = 5,
    model: Boiler | None = None,
) -> Plan:
    """Make a plan of devices with faults. Raises ValueError for faults that they cannot have."""
    devices = [Device(n, f"b-{n:03d}", 0, n) for n in range(count)]
    model, written = model or Boiler(), format_named(spoken)
    injector = Faults(FAULTS.validate_python(list(faults)), Target(seed, model, written, devices))
    return Plan(seed, [Part(model, written, devices, rate, injector)], Load([Phase(seconds)]))


def batches(plan: Plan, seconds: float = 1.0) -> list[Batch]:
    """Give all of a plan that is sent by time."""
    return [batch for some in plan.slices(BEGAN, seconds) for batch in some if len(batch)]


def points(plan: Plan, batch: Batch, arrived: Mapping[int, int]) -> dict[tuple[str, str, int], Value]:
    """Give the points that a batch says are stored, where a message arrived at `arrived[place]`."""
    found = {}
    for block in batch.blocks:
        for name, column in block.columns.items():
            for place, number, ts, value in zip(block.messages, block.devices, block.ts, column, strict=True):
                if value is not None and (ts != ARRIVAL or place in arrived):
                    at = arrived[place] if ts == ARRIVAL else ts
                    key = plan.stored(number).device, name, at
                    assert key not in found
                    found[key] = value
    return found


class Pipeline:
    """Ingest's decoders and admission. With `profile`, the first metric is a number up to HIGHEST."""

    def __init__(self, plan: Plan, *, profile: bool = False) -> None:
        self.plan, self.part = plan, plan.parts[0]
        records = {}
        for device in self.part.devices:
            stored = plan.stored(device.number)
            number = next(stored.metrics[name] for name in self.part.model.metrics if name in stored.metrics)
            rules = {number: Rule("number", max=HIGHEST)} if profile else {}
            records[stored.device] = DeviceRecord(1, stored.device, enabled=True, profile="boiler", metrics=rules)
        self.ingest = Ingest(records=records)
        self.ingest.routes = Routes(table.read(_ROUTES), AHEAD)
        self.admission = Admission(records.get, RateLimits(), register=False)
        self.devices = {device.number: device for device in self.part.devices}

    def open(self) -> None:
        """Take what devices say first."""
        at = BEGAN - SECOND
        opening = self.plan.opening(self.part.devices, at, self.part)
        for place in range(len(opening)):
            self._take(opening, place, at)

    def check(self, found: Sequence[Batch]) -> list[tuple[Expect, Reason | None]]:
        """Take batches, and check that what is made of them is what they say; gives for each fault what that was."""
        order = sorted(
            (batch.intended[place], batch.first + place, batch, place) for batch in found for place in range(len(batch))
        )
        arrived: dict[int, dict[int, int]] = {batch.first: {} for batch in found}
        made: dict[tuple[str, str, int], Value] = {}
        said = []
        for n, (intended, _, batch, place) in enumerate(order):
            if batch.expects[place] is Expect.REFUSED:
                continue
            arrived[batch.first][place] = at = intended + 3_000_001 + n
            expect, reason, readings = self._take(batch, place, at)
            wrong = batch.topics[place], batch.payloads[place][:300], reason
            assert expect is batch.expects[place], (batch.faults[place], expect, batch.expects[place], *wrong)
            if batch.faults[place]:
                said.append((expect, reason))
            made |= readings
        expected: dict[tuple[str, str, int], Value] = {}
        for batch in found:
            expected |= points(self.plan, batch, arrived[batch.first])
        assert made == expected
        return said

    def _take(
        self, batch: Batch, place: int, at: int
    ) -> tuple[Expect, Reason | None, dict[tuple[str, str, int], Value]]:
        payload = batch.payloads[place]
        if batch.expects[place] is not Expect.REJECTED:  # which the sender sends as it is
            payload = self.part.format.stamp(batch.topics[place], payload)
        arrival = Arrival(batch.topics[place].decode(), payload, at)
        route = self.ingest.routes.of(arrival)
        assert route is not None
        decoded = route.refusal(arrival, Limits()) or self.ingest.decode(arrival.topic, payload, at=at)
        problems = decoded.problems or Problems()
        kept = []
        by_device: dict[str, list[Any]] = {}
        for reading in decoded.readings:
            by_device.setdefault(reading.device, []).append(reading)
        for readings in by_device.values():
            kept += self.admission.fit(readings, decoded, problems, "route")
        expect = Expect.STORED if not problems else Expect.PARTLY if kept else Expect.REJECTED
        made = {(r.device, name, r.ts): value for r in kept for name, value in r.values.items()}
        return expect, problems.reason if problems else None, made


def unlike(found: Sequence[Batch]) -> Iterator[bytes]:
    """Give the payloads that are to be rejected."""
    for batch in found:
        for payload, expect in zip(batch.payloads, batch.expects, strict=True):
            if expect is Expect.REJECTED:
                yield payload

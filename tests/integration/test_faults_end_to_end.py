"""Every fault over a real broker, ingest and stream: what was meant to become of it is what became of it."""

import contextlib
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from contracts import logs
from contracts.devices import DeviceRecord, Metric
from contracts.readings import Value
from simulators.connections.native import connecting
from simulators.connections.parties import Broker
from simulators.faults.inject import FAULTS
from simulators.metrics import Metrics
from simulators.plan.batch import ARRIVAL, Batch, Expect
from simulators.running.building import Blueprint
from simulators.running.fleet import Fleet
from simulators.scenario.reading import build
from tests.conftest import Server, mosquitto_broker, nats_broker
from tests.integration.ingest_service import Stored, ingest, reading, settings, until
from tests.integration.test_ingest_flow import put

_NOW = time.time_ns  # noqa: TID251 - a test plays the devices, which have clocks
HIGHEST = 500.0
"""Of what the profile allows."""

KINDS: dict[str, dict[str, Any]] = {
    "stuck": {"kind": "stuck", "every": 2, "length": 1},
    "spike": {"kind": "spike", "rate": 0.3},
    "high": {"kind": "spike", "rate": 0.3, "profile": True},
    "drift": {"kind": "drift", "amount": 3600},
    "nan": {"kind": "nan", "rate": 0.5},
    "text": {"kind": "wrong_type", "rate": 0.3},
    "loose": {"kind": "wrong_type", "rate": 0.3, "profile": False},
    "ahead": {"kind": "clock_skew", "seconds": 200},
    "behind": {"kind": "clock_skew", "seconds": -2000},
    "beyond": {"kind": "clock_skew", "seconds": 5000},
    "jump": {"kind": "clock_jump", "every": 2, "length": 1},
    "unset": {"kind": "clock_unset"},
    "none": {"kind": "clock_unset", "says": "nothing"},
    "malformed": {"kind": "malformed", "rate": 0.7},
    "oversize": {"kind": "oversize", "rate": 0.2},
    "duplicate": {"kind": "duplicate", "rate": 0.5, "gap": 0.1},
    "late": {"kind": "out_of_order", "rate": 0.3, "delay": 0.6},
    "offline": {"kind": "offline", "from": 0.5, "length": 1},
    "foreign": {"kind": "foreign", "rate": 0.3, "checked": False},
    "kept": {"kind": "retained", "rate": 0.5},
    "dup": {"kind": "dup", "rate": 0.5},
    "storm": {"kind": "reconnect_storm", "from": 1},
    "open": {"kind": "half_open", "length": 0.6, "from": 0.5},
    "slow": {"kind": "slow", "length": 1, "rate": 2000},
    "flap": {"kind": "flap", "every": 1, "length": 0.3},
}
REASONS = {
    "spike": "out_of_range",
    "nan": "bad_value",
    "wrong_type": "wrong_type",
    "malformed": "malformed",
    "oversize": "too_large",
}
BARE = {"nan", "malformed", "duplicate", "late", "offline", "foreign", "kept"}
"""Those that are also sent as bare values, which have no times."""


Timed = dict[tuple[str, str, int], Value]
Untimed = dict[tuple[str, str], list[str]]


def there(stored: Stored) -> tuple[Timed, Untimed]:
    """Give the points that are on the stream, apart by whether they have the time of their arrival."""
    timed: Timed = {}
    untimed: Untimed = defaultdict(list)
    for one in stored.readings:
        for name, value in one.values.items():
            if one.ts == one.received:
                untimed[one.device, name].append(repr(value))
            else:
                timed[one.device, name, one.ts] = value
    return timed, untimed


class Truth:
    """What a fleet says that it sends, as what the streams should have."""

    def __init__(self, parts: list[dict[str, Any]], seconds: float) -> None:
        fleet = [{"model": "environment", "devices": 3, "rate": 4.0} | part for part in parts]
        self.blueprint = Blueprint(build({"name": "x", "fleet": fleet, "phase": [{"seconds": seconds}]}, "a test"))
        self.timed: Timed = {}
        self.untimed: Untimed = defaultdict(list)
        self.letters: Counter[tuple[bytes, str]] = Counter()
        self.faults: Counter[str] = Counter()

    def follow(self, batch: Batch) -> None:
        self.faults.update(batch.faults)
        for block in batch.blocks:
            for name, column in block.columns.items():
                for number, ts, value in zip(block.devices, block.ts, column, strict=True):
                    device = self.blueprint.plan.stored(number).device
                    if value is not None and ts == ARRIVAL:
                        self.untimed[device, name].append(repr(value))
                    elif value is not None:
                        assert (device, name, ts) not in self.timed
                        self.timed[device, name, ts] = value
        for payload, expect, fault in zip(batch.payloads, batch.expects, batch.faults, strict=True):
            if expect in (Expect.REJECTED, Expect.PARTLY):
                self.letters[payload, REASONS[fault]] += 1

    def told(self, stored: Stored) -> bool:
        """Whether the streams have as much as they should."""
        timed, untimed = there(stored)
        late = sum(map(len, untimed.values())) < sum(map(len, self.untimed.values()))
        return not late and len(timed) >= len(self.timed) and len(stored.letters) >= self.letters.total()

    def compare(self, stored: Stored) -> None:
        """Check that the streams have exactly what they should."""
        timed, untimed = there(stored)
        assert timed == self.timed
        assert {key: sorted(values) for key, values in untimed.items()} == {
            key: sorted(values) for key, values in self.untimed.items()
        }
        assert Counter((letter.payload, letter.reason) for letter in stored.letters) == self.letters

    def fleet(self, broker: Server) -> Fleet:
        native = connecting(
            Broker("127.0.0.1", broker.port), login=lambda _: None, now=_NOW, rng=Random(1), log=logs.quiet()
        )
        return self.blueprint.fleet(
            {"native": native}, ledger=None, metrics=Metrics(), now=_NOW, log=logs.quiet(), follow=self.follow
        )

    def records(self) -> list[DeviceRecord]:
        """Register devices whose first number has a profile, if its fault wants that."""
        found = []
        for part in self.blueprint.parts:
            rules = {"temperature": Metric(max=HIGHEST)}
            strict = part.devices[0].id.startswith(("high", "text"))
            found += [
                DeviceRecord(1, device.id, enabled=True, profile="room", metrics=rules if strict else {})
                for device in part.devices
            ]
        return found


@contextlib.asynccontextmanager
async def sent(truth: Truth, broker: Server) -> AsyncIterator[None]:
    """Send all of a fleet."""
    fleet = truth.fleet(broker)
    fleet.start()
    try:
        await until(lambda: fleet.done.is_set() or fleet.failure != "", "everything sent")
        assert not fleet.failure
        assert await fleet.settled(20)
        yield
    finally:
        await fleet.stop(5)


@pytest.mark.parametrize("kind", ["nats", "mosquitto"])
async def test_each_fault_has_the_outcome_that_it_intends(tmp_path: Path, stream: Server, kind: str) -> None:
    parts = [{"prefix": name, "faults": [fault]} for name, fault in KINDS.items()]
    parts += [{"prefix": f"bare-{name}", "format": "value", "faults": [KINDS[name]]} for name in BARE]
    truth = Truth(parts, 2.0)
    await put(stream, *truth.records())
    with {"nats": nats_broker, "mosquitto": mosquitto_broker}[kind](tmp_path) as broker:
        given = settings(stream, broker, unknown_device="quarantine", device_errors=False)
        async with ingest(given), reading(stream) as stored, sent(truth, broker):
            await until(lambda: truth.told(stored), "everything on the streams")
            truth.compare(stored)
        before = len(stored.readings)
        async with ingest(given.model_copy(update={"client_id": "another"})), reading(stream) as again:
            await until(lambda: len(again.readings) > before, "what was retained")
            truth.compare(again)
    kinds = {fault["kind"] for fault in KINDS.values()}
    assert {name for name in truth.faults if name} == kinds - {"reconnect_storm", "half_open", "slow", "flap"}
    assert kinds == {*_kinds()} - {"wrong_credentials"}


async def test_a_broker_that_checks_lets_nobody_publish_for_another(tmp_path: Path, stream: Server) -> None:
    truth = Truth([{"prefix": "own", "faults": [{"kind": "foreign", "rate": 0.5}]}], 2.0)
    await put(stream, *truth.records())
    with mosquitto_broker(tmp_path) as broker:
        rules = tmp_path / "rules"
        rules.write_text("topic read #\npattern write devices/%c/#\n")
        broker.kill()
        broker.configure("allow_anonymous true", f"allow_anonymous true\nacl_file {rules}")
        broker.start()
        async with ingest(settings(stream, broker)), reading(stream) as stored, sent(truth, broker):
            await until(lambda: truth.told(stored), "everything on the stream")
            truth.compare(stored)
    assert truth.faults["foreign"] > 5
    assert len(truth.timed) == 4 * truth.faults[""]


def _kinds() -> list[str]:
    """Name all faults that there are."""
    tagged: dict[str, Any] = FAULTS.json_schema()["items"]["discriminator"]["mapping"]
    return list(tagged)

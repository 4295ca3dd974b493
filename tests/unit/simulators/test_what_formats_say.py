from collections.abc import Collection, Mapping

import pytest

from simulators.faults.injector import Act, Draft
from simulators.formats.json import Json
from simulators.formats.wire import Encoded, Rows, Stored
from simulators.models.model import Children, Event, Int64s, Metric
from simulators.plan.batch import Batch
from simulators.plan.devices import Device
from simulators.plan.load import Load, Phase
from simulators.plan.plan import Part, Plan

BEGAN = 1_767_225_600_000_000_000


class Tank:
    name, prefix = "tank", "t"
    children: Children | None = None
    metrics: Mapping[str, Metric] = {"level": Metric("number", "m"), "open": Metric("boolean")}
    event_names: Collection[str] = ()

    def values(self, seed: int, devices: Int64s, ts: Int64s) -> dict[str, list[float | bool | str]]:
        del seed, ts
        return {"level": [d + 0.26 for d in devices.tolist()], "open": [True for _ in devices.tolist()]}

    def events(self, seed: int, devices: Int64s, start: int, end: int) -> list[Event]:
        del seed, devices, start, end
        return []


class Coarse(Json):
    """Rounds the level to tenths, and numbers its packets."""

    def stored(self, device: Device, metrics: Mapping[str, Metric]) -> Stored:
        return Stored(device.id, {metric: f"tank.{metric}" for metric in metrics})

    def encode(self, rows: Rows) -> Encoded:
        assert rows.metrics == Tank.metrics
        encoded = super().encode(rows)
        levels = [round(value, 1) if isinstance(value, float) else None for value in rows.columns["level"]]
        encoded.said = {"tank.level": levels, "packet": [float(device.number) for device in rows.devices]}
        return encoded


class Split(Coarse):
    """Sends each metric in a message of its own."""

    def encode(self, rows: Rows) -> Encoded:
        encoded = super().encode(rows)
        twice = {name: [value for value in values for _ in (0, 1)] for name, values in encoded.said.items()}
        places = [row for row in range(len(rows.devices)) for _ in (0, 1)]
        return Encoded(
            [encoded.topics[row] for row in places],
            [encoded.payloads[row] for row in places],
            places,
            [(metric,) for _ in rows.devices for metric in ("level", "open")],
            said=twice,
        )


class Spoiler:
    """No level is fit to be stored."""

    def before(self, draft: Draft) -> None:
        draft.bad.update((row, "level") for row in range(len(draft.devices)))

    def after(self, draft: Draft, encoded: Encoded, batch: Batch) -> None:
        """Change nothing."""

    def acts(self, began: int, start: int, end: int) -> list[Act]:
        del began, start, end
        return []


def truth(part: Part) -> list[tuple[int, str, object]]:
    """Give number of the message, name and value of each point."""
    plan = Plan(1, [part], Load([Phase(1)]))
    return sorted(
        (message, name, value)
        for batches in plan.slices(BEGAN, 1)
        for batch in batches
        for block in batch.blocks
        for name, values in block.columns.items()
        for message, value in zip(block.messages, values, strict=True)
        if value is not None
    )


@pytest.mark.parametrize("injector", [None, Spoiler()])
def test_what_the_wire_rounds_or_adds_is_the_truth_and_what_is_bad_is_not(injector: Spoiler | None) -> None:
    device = Device(3, "t-3", 0, 3)
    level = [] if injector else [(0, "tank.level", 3.3)]
    assert truth(Part(Tank(), Coarse(), [device], 1.0, injector)) == [
        (0, "packet", 3.0),
        *level,
        (0, "tank.open", True),
    ]


def test_each_of_several_messages_has_its_own_share_of_the_truth() -> None:
    assert truth(Part(Tank(), Split(), [Device(3, "t-3", 0, 3)], 1.0)) == [
        (0, "packet", 3.0),
        (0, "tank.level", 3.3),
        (1, "packet", 3.0),
        (1, "tank.open", True),
    ]

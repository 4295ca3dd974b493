"""Prints a digest of all that fleets of every format would send, with faults: the plan, openings, closings and acts."""

import contextlib
from hashlib import sha256
from typing import Any

from simulators.formats import FORMATS
from simulators.plan.load import SECOND
from simulators.running.building import Blueprint
from simulators.scenario.reading import build
from tests.unit.simulators.fleet_of_fakes import BEGAN

FAULTS: list[dict[str, Any]] = [
    {"kind": "wrong_type", "rate": 0.1},
    {"kind": "clock_jump", "every": 1, "length": 0.5},
    {"kind": "malformed", "rate": 0.2},
    {"kind": "duplicate", "rate": 0.1},
    {"kind": "offline", "every": 1, "length": 0.5},
]


def fleet(spoken: str, shape: str, faults: list[dict[str, Any]]) -> Blueprint:
    part = {"model": shape, "format": spoken, "devices": 3, "rate": 8, "connections": "own", "faults": faults}
    return Blueprint(build({"name": "digest", "seed": 7, "fleet": [part], "phase": [{"seconds": 1}]}, "a test"))


def fitting(spoken: str, shape: str) -> list[dict[str, Any]]:
    """Give the faults that devices of the format can have."""
    found = []
    for fault in FAULTS:
        with contextlib.suppress(ValueError):
            fleet(spoken, shape, [fault])
            found.append(fault)
    return found


def said(spoken: str, shape: str) -> str:
    plan = fleet(spoken, shape, fitting(spoken, shape)).plan
    [part] = plan.parts
    assert part.injector is not None
    opening, slices = plan.opening(part.devices, BEGAN, part), list(plan.slices(BEGAN, 0.25))
    acts = part.injector.acts(BEGAN, BEGAN, BEGAN + SECOND)
    everything = repr((opening, slices, plan.closing(part.devices, BEGAN, part), acts))
    return sha256(everything.encode()).hexdigest()


def main() -> None:
    for spoken in FORMATS:
        for shape in ("environment", "vehicle"):
            with contextlib.suppress(ValueError):
                print(spoken, shape, said(spoken, shape))  # noqa: T201 - what it is for


if __name__ == "__main__":
    main()

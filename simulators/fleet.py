"""The three kinds of devices and the values they measure: pure functions of seed, device and time.

Times are ns since 1970 UTC. A device has daily curves of its own, slow drift and a little noise on each reading.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from typing import Literal

from contracts.readings import Value
from simulators.excursions import Excursion, excursion_at, ground_truth
from simulators.noise import uniforms

Kind = Literal["environment", "meter", "pump"]
KINDS: tuple[Kind, ...] = ("environment", "meter", "pump")

PREFIXES: dict[Kind, str] = {"environment": "env", "meter": "meter", "pump": "pump"}
"""How the ids of each kind begin."""

METRICS: dict[Kind, tuple[str, ...]] = {
    "environment": ("temperature", "humidity", "co2", "battery"),
    "meter": ("voltage", "current", "power", "energy"),
    "pump": ("pressure", "flow", "vibration", "running", "state"),
}
"""Every metric of each kind. Units: °C, %, ppm, % · V, A, W, kWh · bar, l/min, mm/s, boolean, idle|run|fault."""

DAY = 86_400_000_000_000
HOUR = DAY // 24
INSTALLED = 1_577_836_800_000_000_000
"""2020-01-01: when energy counters began at zero."""

_TRAITS, _NOISE, _DUTY = 1, 2, 3
_DUTY_SLOT = 300_000_000_000
_POWER_FACTOR = 0.95
_BATTERY_LIFE = 400 * DAY


@dataclass(frozen=True)
class Device:
    """One device of the fleet that `seed` makes.

    `index` counts all kinds, which take turns; `ordinal` counts the devices of its kind from 0.
    """

    seed: int
    index: int

    @property
    def kind(self) -> Kind:
        """Give the kind."""
        return KINDS[self.index % len(KINDS)]

    @property
    def ordinal(self) -> int:
        """Count within the kind."""
        return self.index // len(KINDS)

    @property
    def id(self) -> str:
        """Device id, such as `env-001`."""
        return f"{PREFIXES[self.kind]}-{self.ordinal + 1:03d}"


def fleet(seed: int, devices: int, first: int = 0) -> list[Device]:
    """List the `devices` devices of a fleet from index `first` on: the three kinds in turn."""
    return [Device(seed, index) for index in range(first, first + devices)]


def excursions(members: list[Device], start: int, end: int) -> list[Excursion]:
    """Give the ground truth: every overpressure of a pump among `members` that lies wholly in `start`..`end`."""
    pumps = [(member.seed, member.index, member.ordinal) for member in members if member.kind == "pump"]
    return ground_truth(pumps, start, end)


def values(device: Device, ts: int) -> dict[str, Value]:
    """Give what `device` measures at `ts`: the same for the same arguments, whatever was asked before."""
    return _CURVES[device.kind](device, ts)


@lru_cache(maxsize=100_000)
def _traits(seed: int, index: int) -> tuple[float, ...]:
    return uniforms(seed, _TRAITS, index, 0)


def _day(ts: int) -> float:
    """Give the angle of the time of day: 0 at midnight, 2π at the next."""
    return 2 * pi * (ts % DAY) / DAY


def _drift(ts: int, phase: float) -> float:
    """Slow movement between -1 and 1, of two periods that never meet."""
    hours = ts / HOUR
    return 0.6 * sin(2 * pi * (hours / 5.3 + phase)) + 0.4 * sin(2 * pi * (hours / 1.7 + 3 * phase))


def _environment(device: Device, ts: int) -> dict[str, Value]:
    base, swing, phase, damp, people, age, *_ = _traits(device.seed, device.index)
    n = uniforms(device.seed, _NOISE, device.index, ts)
    day = _day(ts)
    warmth = (1.5 + 2.5 * swing) * cos(day - 2 * pi * 15 / 24) + 0.8 * _drift(ts, phase)  # warmest at 15:00
    occupied = max(0.0, cos(day - 2 * pi * 13 / 24)) * (200 + 400 * people)
    charge = 100 - 80 * ((ts / _BATTERY_LIFE + age) % 1.0)
    return {
        "temperature": round(19 + 4 * base + warmth + 0.2 * (n[0] - 0.5), 2),
        "humidity": round(40 + 15 * damp - 2.5 * warmth + 1.0 * (n[1] - 0.5), 1),
        "co2": float(round(430 + occupied + 25 * (1 + _drift(ts, phase + 0.3)) + 20 * (n[2] - 0.5))),
        "battery": round(charge, 1),
    }


def _meter(device: Device, ts: int) -> dict[str, Value]:
    size, phase, volts, past, *_ = _traits(device.seed, device.index)
    n = uniforms(device.seed, _NOISE, device.index, ts)
    day = _day(ts)
    mean = 400 + 2600 * size  # W
    load = mean * (1 - 0.45 * cos(day) - 0.25 * cos(2 * day - 2 * pi * phase / 8))
    power = load * (1 + 0.06 * (n[0] - 0.5))
    voltage = round(228 + 4 * volts - 2 * load / 5100 + 1.2 * _drift(ts, phase) + 0.8 * (n[1] - 0.5), 1)
    hours = (ts - INSTALLED) / HOUR
    swings = 0.45 * sin(day) + 0.125 * (sin(2 * day - 2 * pi * phase / 8) + sin(2 * pi * phase / 8))
    energy = mean / 1000 * (hours - 24 / (2 * pi) * swings)  # the integral of `load`: the counter never runs back
    return {
        "voltage": voltage,
        "current": round(power / (voltage * _POWER_FACTOR), 3),
        "power": round(power, 1),
        "energy": round(5000 * past + energy, 4),
    }


def _pump(device: Device, ts: int) -> dict[str, Value]:
    level, phase, strength, wear, *_ = _traits(device.seed, device.index)
    n = uniforms(device.seed, _NOISE, device.index, ts)
    busy = 0.75 + 0.2 * sin(_day(ts) - pi / 2)  # share of five-minute slots in which it runs: most at noon
    running = uniforms(device.seed, _DUTY, device.index, ts // _DUTY_SLOT)[0] < busy
    state = "run" if running else "idle"
    if running:
        pressure = 3.5 + 1.5 * level + 0.4 * _drift(ts, phase) + 0.2 * (n[0] - 0.5)
        flow = 80 + 60 * strength + 6 * _drift(ts, phase + 0.5) + 3 * (n[1] - 0.5)
        vibration = 1.2 + 1.2 * wear + 0.3 * (n[2] - 0.5)
    else:
        pressure, flow, vibration = 0.6 + 0.1 * n[0], 0.0, 0.05 + 0.05 * n[2]
    height, peak = excursion_at(device.seed, device.index, device.ordinal, ts)
    if height > 0:
        running, state = True, "fault"
        pressure += (peak - pressure) * height + 0.2 * (n[3] - 0.5)
        flow *= 1 - 0.7 * height
        vibration += 6 * height
    return {
        "pressure": round(pressure, 2),
        "flow": round(flow, 1),
        "vibration": round(vibration, 2),
        "running": running,
        "state": state,
    }


_CURVES: dict[Kind, Callable[[Device, int], dict[str, Value]]] = {
    "environment": _environment,
    "meter": _meter,
    "pump": _pump,
}

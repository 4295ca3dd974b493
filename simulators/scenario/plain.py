"""The scenario that a few options make: rooms, power meters and pumps, at one rate."""

from simulators.scenario.reading import build
from simulators.scenario.spec import Scenario

MODELS = ("environment", "meter", "pump")
"""They take turns."""


def plain(  # noqa: PLR0913 - keyword-only
    *,
    devices: int,
    first: int = 0,
    rate: float = 1.0,
    seconds: float = 0.0,
    seed: int = 1,
    malformed: float = 0.0,
    connections: int = 64,
    client: str = "native",
) -> Scenario:
    """Describe a fleet of three models, whose devices take turns from index `first` on.

    `rate` is readings a second of each device, `seconds` how long (0: until somebody ends it), `malformed` the share of
    messages that are malformed on purpose, and `connections` how many are shared at most.
    """
    fleet = []
    for turn, model in enumerate(MODELS):
        begin, end = (len(range(turn, index, len(MODELS))) for index in (first, first + devices))
        if end > begin:
            part = {"model": model, "devices": end - begin, "first": begin, "rate": rate, "client": client}
            faults = [{"kind": "malformed", "rate": malformed}] if malformed else []
            fleet.append(part | {"connections": max(1, connections * (end - begin) // devices), "faults": faults})
    phase = {"name": "steady"} | ({"seconds": seconds} if seconds else {})
    return build({"name": "plain", "seed": seed, "fleet": fleet, "phase": [phase]}, "options")

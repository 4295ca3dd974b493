"""Topics: what a message is about, told by its topic alone. Pure."""

from typing import Literal

import msgspec

from contracts.streams import partition_of
from contracts.topics import device_id_problem

Kind = Literal["telemetry", "metric", "status", "other"]

_MOST_REMEMBERED = 65_536
_PLAIN_LEVELS, _METRIC_LEVELS = 3, 4


class Route(msgspec.Struct, frozen=True):
    """What a topic says.

    `problem`: why its device id cannot be one, or None. `has_readings`: whether its messages are decoded to readings.
    """

    kind: Kind
    device: str = ""
    metric: str = ""
    partition: int = 0
    problem: str | None = None
    has_readings: bool = False


class Routes:
    """Remembers the routes of the topics that were seen: devices repeat theirs."""

    def __init__(self) -> None:
        self.partitions = 1
        self._known: dict[str, Route] = {}

    def divide(self, partitions: int) -> None:
        """Set how many partitions the stream has."""
        self.partitions = partitions
        self._known.clear()

    def of(self, topic: str) -> Route:
        """Give the route of `topic`."""
        route = self._known.get(topic)
        if route is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            route = self._known[topic] = self._read(topic)
        return route

    def _read(self, topic: str) -> Route:
        levels = topic.split("/")
        if levels[0] != "devices" or len(levels) not in (_PLAIN_LEVELS, _METRIC_LEVELS):
            return Route("other")
        device = levels[1]
        partition = partition_of(device, self.partitions)
        problem = device_id_problem(device)
        if len(levels) == _METRIC_LEVELS:
            if levels[2] == "telemetry":
                return Route("metric", device, levels[3], partition, problem, problem is None)
        elif levels[2] == "telemetry":
            return Route("telemetry", device, "", partition, problem, problem is None)
        elif levels[2] == "status":
            return Route("status", device, "", partition, problem)
        return Route("other")

"""An edge node that speaks Sparkplug B, for tests: it numbers its messages and its metrics as the convention says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingest.sparkplug.payload import Payload

Message = tuple[str, bytes]
"""Topic and payload."""

INT16, INT32, UINT32, INT64, UINT64, FLOAT, DOUBLE, BOOLEAN, STRING = 2, 3, 7, 4, 8, 9, 10, 11, 12
START_MS = 1_767_225_600_000


def metric(payload: Any, name: str = "", **fields: Any) -> Any:  # noqa: ANN401 - made at run time
    """Add a metric; fields as in the specification, text as str."""
    given = {key: value.encode() if isinstance(value, str) else value for key, value in fields.items()}
    return payload.metrics.add(**({"name": name.encode()} if name else {}), **given)


def written(payload: Any) -> bytes:  # noqa: ANN401 - made at run time
    data: bytes = payload.SerializeToString()
    return data


@dataclass
class Edge:
    """One node of the group `Works`, with a clock of its own in `ms`.

    `aliases`: by device ("" for the node itself) and name; the metrics are doubles.
    """

    name: str = "Pump House"
    group: str = "Works"
    ms: int = START_MS
    bd_seq: int = 0
    seq: int = 0
    aliases: dict[str, dict[str, int]] = field(default_factory=lambda: {"": {"Level": 1, "Flow": 2}})

    def topic(self, kind: str, device: str = "") -> str:
        return f"spBv1.0/{self.group}/{kind}/{self.name}" + (f"/{device}" if device else "")

    def payload(self) -> Any:  # noqa: ANN401 - made at run time
        """Begin a payload that takes the next number."""
        payload = Payload(timestamp=self.ms, seq=self.seq)
        self.seq = (self.seq + 1) % 256
        return payload

    def birth(self, values: Mapping[str, float] | None = None) -> Message:
        self.seq = 0
        payload = self.payload()
        metric(payload, "bdSeq", datatype=INT64, long_value=self.bd_seq)
        metric(payload, "Node Control/Rebirth", datatype=BOOLEAN, boolean_value=False)
        self._define(payload, "", values or {})
        return self.topic("NBIRTH"), written(payload)

    def device_birth(self, device: str, values: Mapping[str, float] | None = None) -> Message:
        payload = self.payload()
        self._define(payload, device, values or {})
        return self.topic("DBIRTH", device), written(payload)

    def data(
        self, device: str = "", *, named: bool = False, values: Mapping[str, float] | None = None, **more: float
    ) -> Message:
        payload = self.payload()
        for name, value in ({**(values or {}), **more}).items():
            if named:
                metric(payload, name, double_value=value)
            else:
                metric(payload, alias=self.aliases[device][name], double_value=value)
        return self.topic("DDATA" if device else "NDATA", device), written(payload)

    def death(self) -> Message:
        """Give the will of the connection that there is now."""
        payload = Payload(timestamp=self.ms)
        metric(payload, "bdSeq", datatype=INT64, long_value=self.bd_seq)
        return self.topic("NDEATH"), written(payload)

    def device_death(self, device: str) -> Message:
        return self.topic("DDEATH", device), written(self.payload())

    def connect_again(self) -> None:
        """Begin another connection, whose will and births have the next number."""
        self.bd_seq = (self.bd_seq + 1) % 256

    def _define(self, payload: Any, device: str, values: Mapping[str, float]) -> None:  # noqa: ANN401 - made at run time
        for name, alias in self.aliases.get(device, {}).items():
            metric(payload, name, alias=alias, datatype=DOUBLE, double_value=values.get(name, 0.0))

"""Faults of connections: what happens to them is for those to carry out who keep them up."""

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from simulators.faults import dialects
from simulators.faults.injector import Act
from simulators.faults.schedule import Family, Schedule
from simulators.faults.target import Target


class _OfConnections(Schedule):
    family: ClassVar[Family] = "connections"
    acts: ClassVar[bool] = True
    needs_length: ClassVar[bool] = True

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.needs_length and self.length is None:
            raise ValueError(f"{self.kind}: it needs length")
        return self

    def concerns(self, target: Target) -> bool:
        """Whether devices like these have connections: those behind a gateway have not."""
        return target.devices[0].via == target.devices[0].number

    def fit(self, target: Target) -> Self:
        """Raise ValueError where devices share connections."""
        if not target.own:
            raise ValueError(f"{self.kind}: every device has to have a connection of its own")
        return self


class ReconnectStorm(_OfConnections):
    """The connections of all devices that it hits are reset at one moment, and made again."""

    kind: Literal["reconnect_storm"]
    needs_length: ClassVar[bool] = False
    together: bool = True

    def act(self, at: int, device: int) -> Act:
        """Reset it."""
        return Act(at, device, "drop")


class HalfOpen(_OfConnections):
    """Nothing comes or goes for `length`, and nobody is told."""

    kind: Literal["half_open"]

    def act(self, at: int, device: int) -> Act:
        """Fall silent."""
        return Act(at, device, "silent", self.length or 0.0)


class Slow(_OfConnections):
    """A device writes `rate` bytes a second for `length`."""

    kind: Literal["slow"]
    rate: float = Field(default=100.0, gt=0)

    def act(self, at: int, device: int) -> Act:
        """Slow down."""
        return Act(at, device, "slow", self.length or 0.0, self.rate)


class Flap(_OfConnections):
    """A device says that it is offline, and after `length` that it is online."""

    kind: Literal["flap"]

    def fit(self, target: Target) -> Self:
        """Take any but those of a session, which ends with the device: it needs no connection of its own."""
        dialects.sessionless(self.kind, target)
        return self

    def act(self, at: int, device: int) -> Act:
        """Go, and come back."""
        return Act(at, device, "flap", self.length or 0.0)


class WrongCredentials(_OfConnections):
    """A device logs in with a wrong password for `length`."""

    kind: Literal["wrong_credentials"]

    def act(self, at: int, device: int) -> Act:
        """Log in anew."""
        return Act(at, device, "wrong_credentials", self.length or 0.0)

"""A scenario as it is written in TOML."""

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from simulators.faults.inject import Fault
from simulators.plan import load
from simulators.scenario import expectations, failures
from simulators.scenario.expectations import Expectation
from simulators.scenario.failures import Action, Kind
from simulators.scenario.quantities import Bytes, Seconds

M = TypeVar("M", bound=BaseModel)

_NAME = r"^[a-z][a-z0-9_]{0,63}$"
_WORDS = r"^[A-Za-z0-9_.-]{1,64}$"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True, validate_by_alias=True)


class Fleet(_Strict):
    """Devices that are alike: `devices` of a `model`, speaking a `format`, `rate` readings a second each.

    `prefix` begins their ids, where it is not the model's own; they count from `first` + 1. `connections` is `own` for
    one a device, or how many they share. `credentials`: `registry` creates them beforehand, `provisioned` has each
    device ask for its own.
    """

    model: str = Field(pattern=_WORDS)
    devices: int = Field(ge=1, le=100_000)
    format: str = Field(default="json", pattern=_WORDS)
    rate: float = Field(default=1.0, gt=0, le=100_000)
    prefix: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,32}$")
    first: int = Field(default=0, ge=0, le=10_000_000)
    connections: Literal["own"] | Annotated[int, Field(ge=1, le=1000)] = "own"
    client: Literal["native", "paho"] = "native"
    credentials: Literal["none", "registry", "provisioned"] = "none"
    faults: list[Fault] = Field(default=[], max_length=100)


class Phase(_Strict):
    """A stretch of the run: a factor of all rates, `rate`, or `from` … `to` in a straight line.

    `wave` has it go up and down by so much, once in `period`. Only the last phase may have no `seconds`: it lasts until
    somebody ends it.
    """

    name: str = Field(default="", max_length=64)
    seconds: Seconds | None = Field(default=None, gt=0, le=7 * 86_400)
    rate: float | None = Field(default=None, ge=0, le=1000)
    begin: float | None = Field(default=None, alias="from", ge=0, le=1000)
    end: float | None = Field(default=None, alias="to", ge=0, le=1000)
    wave: float = Field(default=0.0, ge=0, le=1000)
    period: Seconds = Field(default=60.0, ge=0.1)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.begin is None) != (self.end is None):
            raise ValueError("from and to go together")
        if self.rate is not None and self.begin is not None:
            raise ValueError("give either rate, or from and to")
        return self

    @property
    def planned(self) -> load.Phase:
        """Give what the plan makes of it."""
        steady = 1.0 if self.rate is None else self.rate
        start, end = (steady, steady) if self.begin is None or self.end is None else (self.begin, self.end)
        return load.Phase(self.seconds, start, end, self.wave, self.period)


class Failure(_Strict):
    """Something that is made to fail `at` a moment after the start, `for` a while.

    `do` says it in plain words; `command` is for what is not of the stack, and `undo` ends it after `for`.
    """

    do: Annotated[str, AfterValidator(lambda text: failures.parse(text) and text)] = ""
    command: list[str] = []
    undo: list[str] = []
    at: Seconds = Field(ge=0)
    lasts: Seconds | None = Field(default=None, alias="for", gt=0)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.do) == bool(self.command):
            raise ValueError("give either do or command")
        if self.undo and not self.command:
            raise ValueError("undo belongs to command")
        kind = self.action.kind
        if self.lasts is None and (kind in (Kind.STOP, Kind.FREEZE, Kind.DISK) or self.undo):
            raise ValueError(f'{self.do or "undo"} needs for = "20 s" or the like')
        if self.lasts is not None and (kind is Kind.KILL or (self.command and not self.undo)):
            raise ValueError("there is nothing to end after for")
        return self

    @property
    def action(self) -> Action:
        """Say what is done, and to what."""
        return Action(Kind.COMMAND) if self.command else failures.parse(self.do)

    @property
    def title(self) -> str:
        """Say it in a few words."""
        return self.do or " ".join(self.command)


class Rule(_Strict):
    """A rule of alerting: `name`, and in `body` what its API takes beside that.

    `event` names the event of the fleet's models which it is to find; nothing: no truth is known of it.
    """

    name: str = Field(pattern=_NAME)
    event: str = ""
    body: dict[str, Any]


class Stack(_Strict):
    """The stack that is started for the scenario: its broker, variables of its services, and ingest's own routes.

    `routes` is a file beside the scenario. `disk` is how large its disk is, where one is to be full.
    """

    broker: Literal["nats", "mosquitto"] = "nats"
    routes: str = ""
    env: dict[Annotated[str, Field(pattern="^[A-Z][A-Z0-9_]*$")], str] = {}
    disk: Bytes = Field(default=512_000_000, ge=64_000_000, le=8_000_000_000)


class Scenario(_Strict):
    """Who sends, how much and when, what fails, and what is expected of it all.

    `settle` is the longest wait, after the last message, for the system to come to rest. With `stack`, or if something
    of the stack is to fail, a stack of its own is started.
    """

    name: str = Field(pattern=_NAME)
    title: str = Field(default="", max_length=200)
    seed: int = 1
    settle: Seconds = Field(default=30.0, ge=0, le=3600)
    fleet: list[Fleet] = Field(min_length=1, max_length=100)
    phase: list[Phase] = Field(min_length=1, max_length=1000)
    failure: list[Failure] = Field(default=[], max_length=1000)
    rule: list[Rule] = Field(default=[], max_length=100)
    expect: list[str] = Field(default=[], max_length=100)
    stack: Stack | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if any(phase.seconds is None for phase in self.phase[:-1]):
            raise ValueError("phase: only the last may be without seconds")
        if twice := _twice(rule.name for rule in self.rule):
            raise ValueError(f"rule: two are called {twice!r}")
        if twice := _twice(part.prefix or part.model for part in self.fleet if not part.first):
            raise ValueError(f"fleet: two parts have devices called {twice}-001 and so on; give one a prefix")
        seconds = self.seconds
        if seconds is not None and (late := [failure for failure in self.failure if failure.at >= seconds]):
            raise ValueError(f"failure: {late[0].title!r} is at {late[0].at:g} s, and the phases end at {seconds:g} s")
        for text in self.expect:
            expectations.parse(text, self.rules)
        return self

    @property
    def rules(self) -> list[str]:
        """Name the rules."""
        return [rule.name for rule in self.rule]

    @property
    def expectations(self) -> list[Expectation]:
        """Give `expect`, read."""
        return [expectations.parse(text, self.rules) for text in self.expect]

    @property
    def phases(self) -> list[load.Phase]:
        """Give the phases as the plan takes them."""
        return [phase.planned for phase in self.phase]

    @property
    def seconds(self) -> float | None:
        """Say how long the sending lasts; None: until somebody ends it."""
        lengths = [phase.seconds for phase in self.phase]
        return None if lengths[-1] is None else sum(length or 0.0 for length in lengths)

    @property
    def breaks(self) -> bool:
        """Whether something of the stack is to fail."""
        return any(failure.action.kind is not Kind.COMMAND for failure in self.failure)

    def lasting(self, seconds: float) -> Self:
        """Give the same scenario with all its times stretched or cut so that the sending lasts `seconds`."""
        factor = seconds / self.seconds if self.seconds else 1.0
        phases = [_update(phase, seconds=(phase.seconds or seconds) * factor) for phase in self.phase]
        failing = [_update(one, at=one.at * factor, lasts=one.lasts and one.lasts * factor) for one in self.failure]
        fleet = [_update(part, faults=[fault.stretched(factor) for fault in part.faults]) for part in self.fleet]
        return _update(self, phase=phases, failure=failing, fleet=fleet)

    def scaled(self, factor: float) -> Self:
        """Give the same scenario with so many times as many devices, at least one of each part."""
        fleet = [_update(part, devices=max(1, round(part.devices * factor))) for part in self.fleet]
        return _update(self, fleet=fleet)


def _update(model: M, **changes: object) -> M:
    return model.model_copy(update=changes)


def _twice(names: Iterable[str]) -> str:
    return next((name for name, count in Counter(names).items() if count > 1), "")

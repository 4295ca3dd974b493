"""Escalation chains: who is told next while nobody has acknowledged. Pure."""

from collections.abc import Iterator
from typing import Annotated, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field, model_validator

from alerting.rules.common import Duration
from contracts.durations import parse_duration

ReceiverId = Annotated[str, Field(min_length=1, max_length=64)]


class StepSpec(BaseModel):
    """Receivers that are told a time after the chain began."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: Duration = Field(default="0s", description="Since the chain began")
    receivers: list[ReceiverId] = Field(min_length=1, max_length=20)


class RepeatSpec(BaseModel):
    """The steps once more."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    every: Duration = Field(description="From one beginning to the next; longer than the last step's `after`")
    times: int = Field(default=1, ge=1, le=100)


class ChainSpec(BaseModel):
    """Steps that are gone through until every alert of a notification group is acknowledged, muted or resolved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = Field(default="", max_length=4096)
    steps: list[StepSpec] = Field(min_length=1, max_length=20)
    repeat: RepeatSpec | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = [parse_duration(step.after) for step in self.steps]
        if times[0] != 0:
            raise ValueError("the first step has to be after 0s")
        if times != sorted(set(times)):
            raise ValueError("each step has to be later than the one before")
        if self.repeat is not None and parse_duration(self.repeat.every) <= times[-1]:
            raise ValueError("repeat.every has to be longer than the last step's after")
        return self


class Step(msgspec.Struct, frozen=True):
    """Who is told `after` ns since the chain began."""

    after: int
    receivers: tuple[str, ...]


class Chain(msgspec.Struct, frozen=True):
    """All steps, in order of time, with those of repeats."""

    steps: tuple[Step, ...]

    @property
    def receivers(self) -> frozenset[str]:
        """All that it may tell."""
        return frozenset(receiver for step in self.steps for receiver in step.receivers)


def only(receiver: str) -> Chain:
    """Give the chain of a route that has just one receiver."""
    return Chain((Step(0, (receiver,)),))


def compile_chain(spec: ChainSpec) -> Chain:
    """Give the steps of a chain."""
    return Chain(tuple(_steps(spec)))


def _steps(spec: ChainSpec) -> Iterator[Step]:
    every, times = (0, 0) if spec.repeat is None else (parse_duration(spec.repeat.every), spec.repeat.times)
    for run in range(times + 1):
        for step in spec.steps:
            yield Step(run * every + parse_duration(step.after), tuple(dict.fromkeys(step.receivers)))

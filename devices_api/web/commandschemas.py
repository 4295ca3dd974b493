"""What the API takes and answers about commands."""

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from contracts.requests import storable
from contracts.times import SECOND, format_time
from devices_api.cursors import encode_cursor
from devices_api.lists.filters import LONGEST
from devices_api.twins.commands import Command, CommandState, Order, Step
from devices_api.twins.twin import DEEPEST, MOST_BYTES, check
from devices_api.web.schemas import Next, Time

Params = Annotated[
    dict[str, JsonValue],
    AfterValidator(check),
    Field(description=f"At most {MOST_BYTES} bytes as JSON, {DEEPEST} levels deep", examples=[{"percent": 40}]),
]


class CommandIn(BaseModel):
    """A command to send."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=128, examples=["open"]), AfterValidator(storable)]
    params: Params = {}
    ttl: Annotated[
        float, Field(ge=1, le=2_592_000, description="Seconds in which it has to be sent; the device may be offline")
    ] = 3600
    timeout: Annotated[float, Field(ge=1, le=86_400, description="Seconds from being sent to the answer")] = 60
    response: Annotated[bool, Field(description="Whether the device is to answer")] = True

    def order(self) -> Order:
        """Turn it into what is kept."""
        return Order(self.name, self.params, int(self.ttl * SECOND), int(self.timeout * SECOND), self.response)


class ManyIn(CommandIn):
    """A command to send to each device that a filter takes."""

    filter: Annotated[str, Field(min_length=1, max_length=LONGEST, examples=['profile eq "pump"'])]


class StepOut(BaseModel):
    """A state that a command has come to."""

    state: CommandState
    at: Time
    reason: str

    @classmethod
    def of(cls, step: Step) -> Self:
        """Show a step."""
        return cls(state=step.state, at=format_time(step.at), reason=step.reason)


class CommandOut(BaseModel):
    """A command, and how far it has come."""

    id: str
    device: str
    name: str
    params: dict[str, JsonValue]
    response: bool
    state: CommandState
    created: Time
    expires: Annotated[Time, Field(description="It is not sent after that")]
    changed: Annotated[Time, Field(description="When it came to its state")]
    attempts: Annotated[int, Field(description="How many times sending it was begun")]
    result: Annotated[JsonValue, Field(description="What the device answered")]
    error: Annotated[str | None, Field(description="What the device says went wrong")]
    by: str

    @classmethod
    def of(cls, command: Command) -> Self:
        """Show a command."""
        times = {name: format_time(getattr(command, name)) for name in ("created", "expires", "changed")}
        history = [StepOut.of(step) for step in command.history]
        return cls(**vars(command) | times | {"response": command.awaited, "by": command.who, "history": history})


class CommandDetail(CommandOut):
    """A command with all states that it has come to."""

    history: list[StepOut]


class CommandPage(BaseModel):
    """Commands, the newest first."""

    items: list[CommandOut]
    next: Next

    @classmethod
    def of(cls, commands: list[Command], limit: int) -> Self:
        """Show the first `limit` of `commands`; there is a next page if there are more."""
        following = encode_cursor("commands", commands[limit - 1].id) if len(commands) > limit else None
        return cls(items=[CommandOut.of(command) for command in commands[:limit]], next=following)


class ManyOut(BaseModel):
    """The commands that were queued, and the devices that have too many that have not ended."""

    items: list[CommandOut]
    refused: list[str]

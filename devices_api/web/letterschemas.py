"""What the API takes and answers about dead letters."""

import base64
import binascii
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from contracts.deadletters import DeadLetter
from contracts.times import format_time
from devices_api.letters.handover import Edit
from devices_api.web.schemas import Next, Time

MAX_PAYLOAD = 4 << 20
"""Largest payload that may be replayed, in bytes: the largest that ingest can be told to take."""

_SPACES = str.maketrans("\t\r\n", "   ")


def _topic(text: str) -> str:
    if any(character in "+#\0" for character in text):
        raise ValueError("a topic that is published to contains no +, no # and no NUL")
    return text


def _size(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"the payload is {len(payload)} bytes long; {MAX_PAYLOAD} are allowed")
    return payload


def _base64(text: str) -> str:
    try:
        _size(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise ValueError(f"this is no base64: {error}") from error
    return text


def _utf8(text: str) -> str:
    try:
        _size(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError("this is no text: it has half a surrogate pair") from error
    return text


class ReplayIn(BaseModel):
    """What to replay in place of the dead letter's own; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    topic: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_topic)] | None = Field(
        default=None, examples=["devices/pump-7/telemetry"]
    )
    payload_base64: Annotated[str, AfterValidator(_base64)] | None = Field(
        default=None, examples=["eyJzb2lsIjogMzEuNX0="]
    )
    payload_text: Annotated[str, AfterValidator(_utf8)] | None = Field(
        default=None, description="The payload in UTF-8, instead of payload_base64", examples=['{"soil": 31.5}']
    )

    @model_validator(mode="after")
    def _one_payload(self) -> Self:
        if self.payload_base64 is not None and self.payload_text is not None:
            raise ValueError("give the payload once: as payload_base64 or as payload_text")
        return self

    def edit(self) -> Edit | None:
        """Give what is to be replaced; None if nothing is."""
        payload = None
        if self.payload_text is not None:
            payload = self.payload_text.encode()
        elif self.payload_base64 is not None:
            payload = base64.b64decode(self.payload_base64)
        return None if self.topic is None and payload is None else Edit(self.topic, payload)


class DeadLetterOut(BaseModel):
    """A message that was rejected: why, and its original bytes."""

    id: int
    reason: str
    detail: str
    topic: str
    payload_base64: str
    payload_text: Annotated[str | None, Field(description="The payload, if it is printable UTF-8")]
    received: Annotated[Time, Field(description="When it was taken from the broker, or from a stream")]
    service: Annotated[str, Field(description="Who rejected it; only what ingest rejected can be replayed")]
    device: Annotated[str, Field(description="Empty where the message names none")]
    retained: Annotated[bool, Field(description="Whether the broker had kept it for new subscribers")]
    route: Annotated[str, Field(description="The row of ingest's routing table that it fell under")]
    decoder: Annotated[str, Field(description="What read it")]
    receiver: Annotated[str, Field(description="The process that took it from the broker, by its client id")]
    properties: Annotated[dict[str, str], Field(description="Its MQTT 5 properties: content-type, and its user's own")]

    @classmethod
    def of(cls, sequence: int, letter: DeadLetter) -> Self:
        """Show a dead letter."""
        return cls(
            id=sequence,
            reason=letter.reason,
            detail=letter.detail,
            topic=letter.topic,
            payload_base64=base64.b64encode(letter.payload).decode(),
            payload_text=_text(letter.payload),
            received=format_time(letter.received),
            service=letter.service,
            device=letter.device,
            retained=letter.retained,
            route=letter.route,
            decoder=letter.decoder,
            receiver=letter.receiver,
            properties=letter.properties,
        )


class DeadLetterPage(BaseModel):
    """Dead letters, newest first. A page may be short, or empty, and still have a next one."""

    items: list[DeadLetterOut]
    next: Next


class Replaying(BaseModel):
    """The dead letter is on its way to ingest."""

    id: int
    status: Literal["replaying"] = "replaying"


Rest = Annotated[
    str | None, Field(description="Cursor for the next request, with the same filter; null when nothing is left to do")
]


class Replayed(BaseModel):
    """How many dead letters this request has handed to ingest, and how many it left where they are."""

    replayed: int
    skipped: Annotated[int, Field(description="Rejected by another service than ingest, or edited")]
    next: Rest


class Discarded(BaseModel):
    """How many dead letters this request has deleted."""

    discarded: int
    next: Rest


def _text(payload: bytes) -> str | None:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return None
    return text if text.translate(_SPACES).isprintable() else None

"""What a broker answers to a connection, a subscription, and why it ends a connection. Pure."""

import msgspec

from ingest.properties import REASON, SERVER_KEEP_ALIVE, SHARED_AVAILABLE, BrokenStreamError, read_properties, span

REFUSED = 0x80
"""Codes from this one on say that a filter was refused."""

_LEAST = 2


class Answer(msgspec.Struct, frozen=True):
    """The answer to a connection. `refusal` is empty if the broker takes it, `keep_alive_s` None if it takes ours."""

    session_present: bool
    refusal: str
    keep_alive_s: int | None = None
    shared: bool = True


def read_answer(body: bytes, *, five: bool) -> Answer:
    """Read a CONNACK. Raises BrokenStreamError."""
    if len(body) < _LEAST:
        raise BrokenStreamError("an answer to the connection that is too short")
    code = body[1]
    properties = dict(read_properties(body, *span(body, _LEAST, len(body)))) if five else {}
    keep_alive = properties.get(SERVER_KEEP_ALIVE)
    said = properties.get(REASON)
    return Answer(
        session_present=body[0] & 1 == 1,
        refusal="" if code == 0 else f"{reason(code)} ({said})" if isinstance(said, str) else reason(code),
        keep_alive_s=keep_alive if isinstance(keep_alive, int) else None,
        shared=properties.get(SHARED_AVAILABLE) != 0,
    )


def read_codes(body: bytes, *, five: bool) -> tuple[int, bytes]:
    """Read a SUBACK or UNSUBACK: the packet identifier, and a code for each filter. Raises BrokenStreamError.

    In 3.1.1 an UNSUBACK has no codes.
    """
    if len(body) < _LEAST:
        raise BrokenStreamError("an acknowledgement without a packet identifier")
    return int.from_bytes(body[:_LEAST]), body[span(body, _LEAST, len(body))[1] :] if five else body[_LEAST:]


def reason(code: int) -> str:
    """Say why a broker refuses a connection, or ends one."""
    return _REASONS.get(code, f"reason {code}")


_REASONS = {
    1: "it does not speak this version of MQTT",
    2: "it does not accept the client id",
    3: "it is unavailable",
    4: "bad user name or password",
    5: "not authorised",
    0x81: "malformed packet",
    0x82: "protocol error",
    0x84: "it does not speak this version of MQTT",
    0x85: "it does not accept the client id",
    0x86: "bad user name or password",
    0x87: "not authorised",
    0x88: "it is unavailable",
    0x89: "it is busy",
    0x8A: "banned",
    0x8B: "it is shutting down",
    0x8D: "it has not heard from us in time",
    0x8E: "another client has taken the session over: is the client id used twice?",
    0x93: "more messages than the receive maximum",
    0x95: "packet too large",
    0x97: "quota exceeded",
    0x98: "an administrator has ended it",
    0x9F: "connection rate exceeded",
}

"""How every message on a stream is written: a MessagePack array whose first element is its schema version."""

from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that decoding raises: on bytes that are no MessagePack, on text that is no UTF-8, and on nesting without end."""


class SchemaError(ValueError):
    """The bytes are not a message this reader knows: another schema version, or no such message at all."""


class Wire(Generic[T]):
    """Encoder and decoder of one message type.

    The type is an ``array_like`` struct whose first field is ``schema_version: Literal[n]``. Fields may be added at
    the end, with defaults: old readers skip what they do not know, and new readers fill in what is absent.
    """

    def __init__(self, message: type[T]) -> None:
        self._message = message
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(message)

    def encode(self, message: T) -> bytes:
        """Write `message`; equal messages give equal bytes."""
        return self._encoder.encode(message)

    def decode(self, data: bytes) -> T:
        """Read one message. Raises SchemaError, saying which version was found, and never anything else."""
        try:
            return self._decoder.decode(data)
        except _UNREADABLE as error:
            found = _version(data)
            known = "no known message" if found is None else f"schema version {repr(found)[:100]}"
            raise SchemaError(f"{self._message.__name__}: {known}: {error}") from error


def _version(data: bytes) -> object:
    try:
        parts: Any = msgspec.msgpack.decode(data)
    except _UNREADABLE:
        return None
    return parts[0] if isinstance(parts, list) and parts else None

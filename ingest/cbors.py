"""CBOR (RFC 8949) as devices write it: one item of plain data, and nothing after it. Pure."""

from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import Any, Never

from cbor2 import CBORDecodeEOF, CBORDecoder, CBORError, CBORTag

from contracts.deadletters import Reason
from ingest.jsons import UnreadableError
from ingest.limits import MAX_DEPTH

_DECIMAL_FRACTION = 4


class _NoTags(Mapping[int, Any]):
    """A decoder for every tag, which refuses it; decimal fractions are left to the library.

    Tags make dates, patterns, addresses, sets and cycles: things that are no measurement, and that this process would
    have to guard against.
    """

    def __getitem__(self, tag: int) -> Any:  # noqa: ANN401 - the library's callback
        if tag == _DECIMAL_FRACTION:
            raise KeyError(tag)
        return _refuse

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 1


_NO_TAGS = _NoTags()


def _refuse(*_: object) -> Never:
    raise ValueError("a tag")


def _refuse_unknown(tag: CBORTag, _: bool) -> Never:  # noqa: FBT001 - the library calls it so
    raise ValueError(f"tag {tag.tag}")


def read(payload: bytes) -> Any:  # noqa: ANN401 - it is whatever the CBOR holds
    """Read one item: numbers, text, bytes, arrays, maps, and decimal fractions as Decimal.

    Raises UnreadableError for any other tag, for what is nested deeper than MAX_DEPTH, and for bytes after the item.
    """
    source = BytesIO(payload)
    decoder = CBORDecoder(source, semantic_decoders=_NO_TAGS, tag_hook=_refuse_unknown, max_depth=MAX_DEPTH)
    try:
        body = decoder.decode()
    except CBORDecodeEOF as error:
        raise UnreadableError(Reason.MALFORMED, "the payload ends inside its CBOR") from error
    except CBORError as error:
        deep = "nesting depth" in str(error)
        reason, why = (Reason.TOO_LARGE if deep else Reason.MALFORMED), error.__cause__ or error
        raise UnreadableError(reason, f"the payload is not CBOR that is taken: {error}: {why}"[:200]) from error
    if (left := len(payload) - source.tell()) > 0:
        raise UnreadableError(Reason.MALFORMED, f"{left} bytes follow the CBOR")
    return body

"""Payloads of a megabyte that want a decoder to take for ever, or all the memory there is."""

import copy
import json
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from tests.unit.ingest.examples import field

SIZE = 1_000_000


def repeated(part: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    """Repeat `part` until there is a megabyte of it."""
    return before + part * ((SIZE - len(before) - len(after)) // len(part)) + after


@cache
def _distinct(form: str, before: str, after: str, between: str = ",") -> bytes:
    """Write `form` with number after number in place of @ until there is a megabyte."""
    parts: list[str] = []
    size = 0
    while size < SIZE - 50:
        parts.append(form.replace("@", str(len(parts))))
        size += len(parts[-1]) + 1
    return (before + between.join(parts) + after).encode()


@cache
def _bomb() -> bytes:
    """Half a gigabyte of zeros, in half a megabyte."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(1 << 20)) for _ in range(512)]
    return b"".join([*parts, packer.flush()])


def _packed(body: bytes, name: str) -> bytes:
    algorithm = field(2, field(1, "algorithm") + field(4, 12) + field(15, name))
    return field(3, 1) + field(4, "SPBV1.0_COMPRESSED") + field(5, body) + algorithm


@cache
def _metrics_by_alias() -> bytes:
    return b"".join(field(2, field(2, number) + field(10, 1)) for number in range(100_000))


@cache
def _births_of_aliases() -> bytes:
    known = field(4, 3) + field(10, 1)
    return b"".join(field(2, field(1, f"m{number}") + field(2, number) + known) for number in range(50_000))


@cache
def _nested_metrics() -> bytes:
    body = b""
    for _ in range(300):
        body = field(2, field(1, "t") + field(4, 19) + field(18, body))
    return body


PAYLOADS: dict[str, Callable[[], bytes]] = {
    "commas": lambda: repeated(b","),
    "quotes": lambda: repeated(b'"'),
    "backslashes": lambda: repeated(b"\\"),
    "equals signs": lambda: repeated(b"="),
    "percent signs": lambda: repeated(b"%"),
    "digits": lambda: repeated(b"1"),
    "digits with a sign": lambda: repeated(b"9", b"-"),
    "a fraction": lambda: repeated(b"7", b"0."),
    "spaces": lambda: repeated(b" "),
    "empty lines": lambda: repeated(b"\n"),
    "lines": lambda: repeated(b"a b=1\n"),
    "lines with tags": lambda: repeated(b"m,host=h,b=c d=1,e=2i 1767225690000000000\n"),
    "fields of one line": lambda: _distinct("f@=1", "m,host=h ", ""),
    "tags of one line": lambda: _distinct("t@=v", "m,", " f=1"),
    "an open text in a line": lambda: repeated(b"x", b'm,host=h f="'),
    "many open texts": lambda: repeated(b'm f="\n'),
    "rows": lambda: repeated(b"200,c8y_A,b,1,x\n"),
    "columns": lambda: _distinct("c8y_A,s@,1,V", "201,,", ""),
    "quoted columns": lambda: repeated(b'"",', b"200,"),
    "bytes that are no text": lambda: repeated(b"\xff"),
    "continuation bytes": lambda: repeated(b"\x80"),
    "open arrays": lambda: repeated(b"["),
    "open objects": lambda: repeated(b'{"a":'),
    "nested arrays": lambda: b"[" * 500_000 + b"]" * 500_000,
    "nested objects": lambda: b'{"a":' * 160_000 + b"1" + b"}" * 160_000,
    "less nested objects": lambda: _distinct('{"a":{"b":{"c":{"d":{"e":[@]}}}}}', "[", "]"),
    "a long name": lambda: repeated(b"n", b'{"', b'": 1}'),
    "a long name with an object": lambda: _distinct('"k@":1', '{"' + "n" * 500_000 + '": {', "}}"),
    "a long text": lambda: repeated(b"t", b'{"a": "', b'"}'),
    "a text of escapes": lambda: repeated(b"\\u0000", b'{"a": "', b'"}'),
    "one name again and again": lambda: repeated(b'"a":1,', b"{", b'"a":1}'),
    "many names": lambda: _distinct('"k@":@', "{", "}"),
    "many names with objects": lambda: _distinct('"k@":{"v":@}', "{", "}"),
    "many names with arrays": lambda: _distinct('"k@":[@]', "{", "}"),
    "many timed objects": lambda: _distinct('{"ts":176722569@,"values":{"a":1}}', "[", "]"),
    "many devices": lambda: _distinct('"d@":[{"a":1}]', "{", "}"),
    "many records": lambda: _distinct('{"n":"r@","v":1}', "[", "]"),
    "many base names": lambda: _distinct('{"bn":"r@:","n":"a","v":1}', "[", "]"),
    "empty objects": lambda: repeated(b"{},", b"[", b"{}]"),
    "nulls": lambda: repeated(b"null,", b"[", b"null]"),
    "numbers": lambda: repeated(b"1,", b"[", b"1]"),
    "a huge integer": lambda: repeated(b"1", b'{"a":', b"}"),
    "a huge time": lambda: repeated(b"1", b'{"ts":', b',"a":1}'),
    "a huge exponent": lambda: b'{"a": 1e' + b"9" * 900_000 + b"}",
    "a long time": lambda: repeated(b"0", b'{"ts":"2026-01-01T00:00:00.', b'Z","values":{"a":1}}'),
    "huge integers": lambda: repeated(b"1" * 299 + b",", b"[", b"1]"),
    "CBOR arrays in arrays": lambda: repeated(b"\x81"),
    "CBOR arrays without end": lambda: repeated(b"\x9f"),
    "CBOR maps in arrays": lambda: repeated(b"\xa1\x00", b"\x81"),
    "a CBOR array of claimed length": lambda: b"\x9b" + b"\x7f" + b"\xff" * 7 + bytes(100_000),
    "a CBOR text of claimed length": lambda: b"\x81\x7b" + b"\x7f" + b"\xff" * 7 + bytes(100_000),
    "CBOR integers": lambda: b"\x9a\x00\x0f\x00\x00" + repeated(b"\x01"),
    "CBOR records": lambda: b"\x9f" + repeated(b"\xa2\x00\x61a\x02\x01") + b"\xff",
    "a CBOR big number": lambda: b"\x81\xa2\x00\x61a\x02\xc2\x5a\x00\x0f\x00\x00" + b"\xff" * 0x0F0000,
    "CBOR tags": lambda: repeated(b"\xc1", b"\x81"),
    "metrics without anything": lambda: repeated(b"\x12\x00"),
    "metrics": lambda: repeated(field(2, field(1, "a") + field(4, 3) + field(10, 1))),
    "metrics by alias": _metrics_by_alias,
    "births of aliases": _births_of_aliases,
    "templates in templates": _nested_metrics,
    "wide metric": lambda: field(2, field(1, "n" * 900_000) + field(4, 3) + field(10, 1)),
    "groups": lambda: repeated(b"\x13"),
    "a packed bomb": lambda: _packed(_bomb(), "DEFLATE"),
    "a packed bomb, named otherwise": lambda: _packed(_bomb(), "GZIP"),
    "a bomb": _bomb,
}
"""By what they are."""


def inflated(payload: bytes) -> Iterator[tuple[str, bytes]]:
    """Blow up each part of a message to a megabyte in turn: the rest of it stays as a decoder expects it."""
    try:
        body = json.loads(payload)
    except ValueError:
        if payload:
            yield "again and again", repeated(payload)
            yield "line after line", repeated(payload.rstrip(b"\n") + b"\n")
        return
    for path in _paths(body, ()):
        grown = _grown(_at(body, path))
        if grown is not None:
            before, after = json.dumps(_replaced(copy.deepcopy(body), path, _MARK)).split(json.dumps(_MARK))
            yield "/".join(map(str, path)) or "all of it", f"{before}{grown}{after}".encode()


_MARK = "here comes what has grown"


def _paths(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401 - any JSON
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, inner in items:
        yield from _paths(inner, (*path, key))


def _at(node: Any, path: tuple[Any, ...]) -> Any:  # noqa: ANN401 - any JSON
    for key in path:
        node = node[key]
    return node


def _replaced(node: Any, path: tuple[Any, ...], new: Any) -> Any:  # noqa: ANN401 - any JSON
    if not path:
        return new
    _at(node, path[:-1])[path[-1]] = new
    return node


def _grown(node: Any) -> str | None:  # noqa: ANN401 - any JSON
    """Write what a part has become, as JSON: making a value of that size first would take longer than decoding it."""
    text = json.dumps(node)
    if isinstance(node, str) and node:
        return f'"{text[1:-1] * (SIZE // (len(node.encode()) + node.count(chr(34))))}"'
    if isinstance(node, list) and node:
        return f"[{', '.join([text[1:-1]] * (SIZE // len(text)))}]"
    if isinstance(node, dict) and node:
        some = json.dumps(next(reversed(node.values())))
        more = (f', "k{number}": {some}' for number in range(SIZE // (len(some) + 12)))
        return f"{text[:-1]}{''.join(more)}}}"
    return None

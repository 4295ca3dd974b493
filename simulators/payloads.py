"""What goes over the wire: readings as JSON, and messages that are malformed on purpose."""

import msgspec

from contracts.readings import Value
from simulators.noise import uniforms

FAULTS = {
    "cut": "malformed",
    "array": "malformed",
    "encoding": "malformed",
    "time": "bad_time",
    "text": "malformed",
    "empty": "malformed",
}
"""Kinds of malformed messages, each with the reason that it deserves."""

_KINDS = tuple(FAULTS)
_STREAM = 6
_encoder = msgspec.json.Encoder()


def encode_values(values: dict[str, Value]) -> bytes:
    """Write values as a JSON object, in the order given."""
    return _encoder.encode(values)


def payload(ts: int, encoded: bytes) -> bytes:
    """Write a good message: `ts` in ns and `encoded` values."""
    return b'{"ts":%d,"values":%b}' % (ts, encoded)


def fault(seed: int, index: int, number: int, share: float) -> str:
    """Kind of fault of message `number` of device `index`; empty for a good one. `share` of all have one."""
    if share <= 0:
        return ""
    draw, kind, *_ = uniforms(seed, _STREAM, index, number)
    return _KINDS[int(kind * len(_KINDS))] if draw < share else ""


def broken(kind: str, ts: int) -> bytes:
    """Write a malformed message of `kind`; `ts` in it makes it unlike every other of its device."""
    match kind:
        case "cut":
            return b'{"ts":%d,"values":{"temperature":2' % ts
        case "array":
            return b'["nonsense",null,[%d]]' % ts
        case "encoding":
            return b'\xff\xfe{"note":"%d"}\xc3(' % ts
        case "time":
            return b'{"ts":"yesterday","values":{"n%d":1.0}}' % ts
        case "text":
            return b'"error %d: sensor unplugged"' % ts
        case "empty":
            return b"%d;;;" % ts
    raise ValueError(f"no such fault: {kind!r}")

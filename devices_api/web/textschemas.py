"""Parts of what the API takes: text that every database can hold, any JSON within bounds, and places."""

import json
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from devices_api.registry.devices import Device

MOST_JSON = 16 << 10
"""Bytes of a device's attributes, as JSON."""
DEEPEST_JSON = 16


def bounded_json(value: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return `value`. Raises ValueError if it is too large, too deep, or cannot be written as JSON in UTF-8."""
    if _depth(value) > DEEPEST_JSON:
        raise ValueError(f"it is more than {DEEPEST_JSON} levels deep")
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except UnicodeEncodeError as error:
        raise ValueError("it holds half a surrogate pair, which is no text") from error
    except ValueError as error:
        raise ValueError("it holds a number that JSON does not have") from error
    if len(text) > MOST_JSON:
        raise ValueError(f"it has {len(text)} bytes as JSON; at most {MOST_JSON} are kept")
    if "\\u0000" in text.decode():
        raise ValueError("it may not hold the character U+0000")
    return value


def _depth(value: JsonValue) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0)


GroupId = Annotated[
    str,
    Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", examples=["north-site"]),
]
Attributes = Annotated[
    dict[str, JsonValue],
    Field(
        description=f"Whatever people keep of it, as JSON: at most {MOST_JSON} bytes, {DEEPEST_JSON} levels deep",
        examples=[{"serial": "ST-0042", "serviced": {"by": "Kim", "in": 2026}}],
    ),
    AfterValidator(bounded_json),
]


class Location(BaseModel):
    """Where a device is, in degrees (WGS 84)."""

    model_config = ConfigDict(extra="forbid")

    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[48.86])
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[2.35])

    @classmethod
    def of(cls, device: Device) -> Self | None:
        """Show where a device is, or None if nobody knows."""
        if device.latitude is None or device.longitude is None:
            return None
        return cls(latitude=device.latitude, longitude=device.longitude)

"""Eclipse Hono: telemetry whose payload is anybody's; what it is says the content type, mostly at the topic's end.

A gateway names the device in the topic, `telemetry/{tenant}/{device}`. A device does not, as the broker knows it: there
the route has to, by a property that the broker adds. A last level that begins with `?` holds properties.
"""

from urllib.parse import parse_qsl

from msgspec.structs import replace

from contracts.deadletters import Reason
from ingest.context import Context
from ingest.formats import Format, NoOptions, auto, senml
from ingest.identity import spell
from ingest.jsons import BOM
from ingest.outcomes import Arrival, Decoded, Ignored, ignored, rejected
from ingest.routes import Route

_TELEMETRY = frozenset({"telemetry", "t"})
_OTHERS = {"event": Ignored.EVENT, "e": Ignored.EVENT, "command": Ignored.COMMAND, "c": Ignored.COMMAND}
_MOST_PROPERTIES = 100
_TYPE = "content-type"


def decode(arrival: Arrival, route: Route, context: Context) -> Decoded:
    """Decode telemetry that is JSON or SenML, as on any other topic."""
    # Properties may hold slashes, which end no level.
    topic, _, bag = arrival.topic.partition("/?")
    kind, *names = topic.split("/")[max(route.base - 1, 0) :] or ("",)
    if kind not in _TELEMETRY:
        return ignored(_OTHERS.get(kind, Ignored.UNSUPPORTED))
    if not arrival.payload:
        return ignored(Ignored.EMPTY)
    content = (_property(bag) or arrival.properties.get(_TYPE, "")).partition(";")[0].strip().lower()
    if not _is_read(content, arrival.payload):
        return ignored(Ignored.UNSUPPORTED)
    device = route.device or _device(names)
    if not device:
        return rejected(Reason.NO_IDENTITY, "the topic names no device, and the broker does not say who sent it")
    return auto.decode(
        replace(arrival, properties={**arrival.properties, _TYPE: content}),
        replace(route, device=device, options=NoOptions()),
        context,
    )


def _property(bag: str) -> str:
    """Give the content type; the other properties are for Hono's adapter."""
    try:
        return dict(parse_qsl(bag, max_num_fields=_MOST_PROPERTIES)).get(_TYPE, "")
    except ValueError:
        return ""


def _is_read(content: str, payload: bytes) -> bool:
    if not content:  # opaque then; what looks like JSON is taken for it
        return payload.removeprefix(BOM).lstrip()[:1] in (b"{", b"[")
    return content == "application/json" or content.endswith("+json") or content in senml.TYPES


def _device(names: list[str]) -> str:
    """Join tenant and device; the tenant may be empty, where it is the gateway's own."""
    if len(names) != 2 or not names[1]:  # noqa: PLR2004 - as above
        return ""
    return spell(*names) if names[0] else spell(names[1])


FORMAT = Format(decode)

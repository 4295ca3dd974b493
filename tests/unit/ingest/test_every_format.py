"""What holds for every decoder and every route, whatever arrives: new ones are taken up by themselves."""

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import formats, table
from ingest.outcomes import Arrival, Decoded
from ingest.table import Row
from tests.unit.ingest import adversaries
from tests.unit.ingest.decoding import NOW, Ingest, bounded, one_outcome
from tests.unit.ingest.examples import MESSAGES, by_decoder, payload_of, rows_of

EXAMPLES = by_decoder()
SECOND = 1_000_000_000
CPU_S = 5.0
PEAK_BYTES = 300_000_000

LEVELS = sorted({level for topic, _ in MESSAGES for level in topic.split("/")} | {"state", "set", "get", "config", "1"})
ODD_LEVELS = ["", " ", "$state", "a b", "ü-Ω", "%2F", "a:b", "..", "x" * 300, "\u202e", "\x7f", "?a=b", "null", "-1"]
PAYLOADS = [payload_of(body) for _, body in MESSAGES]


def names(node: object) -> Iterator[str]:
    for key, inner in node.items() if isinstance(node, dict) else ():
        yield key
        yield from names(inner)
    for inner in node if isinstance(node, list) else ():
        yield from names(inner)


NAMES = sorted({name for _, body in MESSAGES if not isinstance(body, bytes) for name in names(body)})
NUMBERS = [0, -1, 1, 2**31, 2**53 + 1, 2**64, 10**400, 1e308, -0.0, 0.1, 1767225690, 1767225690250, 127, 255, 65535]
TEXTS = ["", " ", "nan", "ON", "off", "null", "2026-02-30", "2026-01-01T00:00:00Z", "1e999", "°C", "\ud800", "{{ x }}"]

IDENTITIES = {name: "d1" for row in table.built_in() for name in re.findall(r"\{property:([^}]+)\}", row.device)}
"""Properties that say who published, for the routes that want to hear it so."""

values = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from(NUMBERS)
    | st.sampled_from(TEXTS)
    | st.integers()
    | st.floats()
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES) | st.text(), inner, max_size=5),
    max_leaves=12,
)
levels = (
    st.sampled_from(LEVELS)
    | st.sampled_from(ODD_LEVELS)
    | st.text(st.characters(blacklist_characters="/+#\0", blacklist_categories=["Cs"]), max_size=8)
)


@st.composite
def topics(draw: st.DrawFn, text: str) -> str:
    """Draw a topic that a filter matches."""
    out = []
    for level in text.split("/"):
        out += [draw(levels)] if level == "+" else draw(st.lists(levels, max_size=4)) if level == "#" else [level]
    return "/".join(out)


@st.composite
def changed(draw: st.DrawFn, payload: bytes) -> bytes:
    """Draw a payload that is like one that a device sends."""
    try:
        body = json.loads(payload)
    except ValueError:
        body = None
    if isinstance(body, dict | list) and draw(st.integers(0, 3)):
        for _ in range(draw(st.integers(1, 3))):
            body = altered(draw, body)
        return json.dumps(body).encode()
    at = draw(st.integers(0, len(payload)))
    end = draw(st.integers(at, min(len(payload), at + 8)))
    return payload[:at] + draw(st.binary(max_size=4) | st.just(payload[at:end] * 3)) + payload[end:]


def altered(draw: st.DrawFn, body: Any) -> Any:  # noqa: ANN401 - any JSON
    """Change one place in a JSON value."""
    if not isinstance(body, dict | list) or not body or not draw(st.integers(0, 3)):
        return draw(values)
    key = draw(st.sampled_from(list(body))) if isinstance(body, dict) else draw(st.integers(0, len(body) - 1))
    copy: Any = body.copy()
    match draw(st.integers(0, 4)):
        case 0:
            del copy[key]
        case 1 if isinstance(copy, dict):
            copy[draw(st.sampled_from(NAMES) | st.text())] = copy.pop(key)
        case 2 if isinstance(copy, list):
            copy.insert(key, draw(values))
        case _:
            copy[key] = altered(draw, copy[key])
    return copy


def payloads(decoder: str) -> st.SearchStrategy[bytes]:
    known = [payload for _, payload in EXAMPLES.get(decoder, ())] or PAYLOADS
    like = st.sampled_from(known).flatmap(changed)
    foreign = st.sampled_from(PAYLOADS)
    return like | like | foreign | st.binary(max_size=64) | values.map(lambda value: json.dumps(value).encode())


PROPERTIES = st.sampled_from(
    [
        {},
        {},
        {"content-type": "application/json"},
        {"content-type": "application/senml+cbor"},
        {"content-type": "application/senml+json; charset=utf-8"},
        {"content-type": "\x00", "device": "a/b"},
        {"": "", "user": "x" * 300},
        IDENTITIES,
    ]
)


@st.composite
def arrivals(draw: st.DrawFn, decoder: str, filters: list[str]) -> Arrival:
    """Draw a message for a decoder: on a topic that one of the filters matches, or that devices use."""
    known = [topic for topic, _ in EXAMPLES.get(decoder, ())]
    built = st.sampled_from(filters).flatmap(topics)
    return Arrival(
        draw(st.sampled_from(known) | built if known else built),
        draw(payloads(decoder)),
        NOW + draw(st.integers(0, 100)) * SECOND // 10,
        draw(st.booleans()),
        draw(st.booleans()),
        draw(PROPERTIES),
    )


def on(rows: list[Row]) -> Ingest:
    """Give an ingest with these routes alone."""
    return Ingest(whole=[msgspec.structs.replace(row, enabled=True) for row in rows])


def take(ingest: Ingest, arrival: Arrival) -> Decoded | None:
    """Decode a message, and check what holds for all; None where its topic cannot name a device, or has no route."""
    route = ingest.routes.of(arrival)
    if route is None or route.problem is not None:
        return None
    return bounded(one_outcome(route.decode(arrival, route, ingest.context)))


@pytest.mark.parametrize("row", table.built_in(), ids=lambda row: row.name)
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_a_message_of_a_route_never_raises_and_has_one_outcome(row: Row, data: st.DataObject) -> None:
    decoder = row.decoder if row.decoder != "auto" else data.draw(st.sampled_from(formats.NAMES))
    take(on([row]), data.draw(arrivals(decoder, row.filters)))


@pytest.mark.parametrize("name", formats.NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_decoder_on_a_topic_of_an_operators_choice_never_raises(name: str, data: st.DataObject) -> None:
    filters = ["#", "+", "+/+", "plant/+/#", "a/b"]
    device = data.draw(st.sampled_from(["", "{1}", "{2}", "{-1}", "fixed", "{property:device}"]))
    row = Row("mine", [data.draw(st.sampled_from(filters))], name, device)
    take(on([row]), data.draw(arrivals(name, row.filters)))


@pytest.mark.parametrize("name", formats.NAMES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_messages_after_messages_never_raise_also_after_a_restart(name: str, data: st.DataObject) -> None:
    rows = rows_of(name)
    filters = [text for row in rows for text in row.filters]
    messages = data.draw(st.lists(arrivals(name, filters), min_size=2, max_size=8))
    ordinary = [Arrival(topic, payload, NOW) for topic, payload in EXAMPLES.get(name, ())]
    for place in data.draw(st.lists(st.integers(0, len(messages)), max_size=2)):
        messages[place:place] = ordinary
    ingest, restart = on(rows), data.draw(st.integers(0, len(messages)))
    known: dict[str, bytes] = {}
    for number, arrival in enumerate(messages):
        if number == restart:
            ingest = on(rows)
            for key, entry in known.items():
                ingest.context.memory.tell(key, entry)
            ingest.routes.announce(list(known.items()))
        take(ingest, arrival)
        changes = ingest.context.memory.changes()
        ingest.routes.announce(changes)
        known.update({key: entry for key, entry in changes if entry is not None})
        for key in [key for key, entry in changes if entry is None]:
            known.pop(key, None)


def costs(name: str) -> Iterator[tuple[str, str, bytes]]:
    """Give everything that may cost a decoder much: what it is, topic, payload."""
    examples = EXAMPLES.get(name, [])
    topics = list(dict.fromkeys(topic for topic, _ in examples)) or ["plant/a"]
    for number, (what, make) in enumerate(adversaries.PAYLOADS.items()):
        yield what, topics[number % len(topics)], make()
    for topic, payload in examples:
        for what, made in adversaries.inflated(payload):
            yield f"{payload[:40]!r} with {what} blown up", topic, made


def memory(what: str) -> int:
    """Give a figure of this process's memory, in bytes; 0 where the system tells none."""
    try:
        with Path("/proc/self/status").open() as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith(what))
    except OSError:
        return 0


def forget_the_peak() -> None:
    """Let the peak of this process's memory begin anew, where there is such a thing."""
    with contextlib.suppress(OSError), Path("/proc/self/clear_refs").open("w") as clear:
        clear.write("5")


@pytest.mark.parametrize("name", formats.NAMES)
def test_a_megabyte_costs_a_decoder_bounded_time_and_memory(name: str) -> None:
    rows = rows_of(name)
    for make in adversaries.PAYLOADS.values():
        make()  # those that are kept are there before
    before = memory("VmRSS")
    for what, topic, payload in costs(name):
        arrival = Arrival(topic, payload, NOW, properties=IDENTITIES)
        ingest = on(rows)
        for known in EXAMPLES.get(name, ()):
            take(ingest, Arrival(*known, NOW, properties=IDENTITIES))
            ingest.routes.announce(ingest.context.memory.changes())
        route = ingest.routes.of(arrival)
        if route is None:  # announced no longer
            continue
        forget_the_peak()
        began = time.process_time()
        bounded(route.decode(arrival, route, ingest.context))
        took = time.process_time() - began
        more = memory("VmHWM") - before
        assert took < CPU_S, f"{what} on {topic} took {took:.1f} s"
        assert more < PEAK_BYTES, f"{what} on {topic} took {more >> 20} MiB"

"""One fuzz target: `python -m tests.fuzz.target NAME [libFuzzer's options] [corpus folder]`.

NAME is a decoder's, or `topics` for what routes messages. An input is a few messages, so that what decoders remember
is met as well; each input begins with nothing remembered. Whatever breaks a promise raises, and libFuzzer then writes
the input to a file; the same command with that file repeats it.
"""

import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import atheris  # type: ignore[import-untyped]  # it has no stubs

with atheris.instrument_imports(include=["ingest", "contracts"]):
    from ingest import filters, formats, table
    from ingest.context import Context
    from ingest.limits import Limits
    from ingest.outcomes import Arrival
    from ingest.routes import Routes
    from ingest.table import Row
    from tests.unit.ingest.decoding import AHEAD, NOW, Ingest, bounded, one_outcome
    from tests.unit.ingest.examples import by_decoder, rows_of

TOPICS = "topics"
MOST_MESSAGES = 6
_HEAD = 4
_RETAINED, _REPLAYED, _OWN_TOPIC, _TYPED, _LATER = 1, 2, 4, 8, 16
_TYPES = ("application/json", "application/senml+json", "application/senml+cbor", "text/plain")


def packed(number: int, payload: bytes, flags: int = 0) -> bytes:
    """Write a message for an input: the topic's number, flags, the payload."""
    return bytes([number, flags]) + len(payload).to_bytes(2, "big") + payload


def unpacked(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Read an input: topic numbers, flags, payloads. Any bytes are some."""
    at = 0
    for _ in range(MOST_MESSAGES):
        if at + _HEAD > len(data):
            return
        size = int.from_bytes(data[at + 2 : at + _HEAD], "big")
        yield data[at], data[at + 1], data[at + _HEAD : at + _HEAD + size]
        at += _HEAD + size


def topics_of(name: str) -> list[str]:
    """List the topics of a decoder's inputs."""
    known = list(dict.fromkeys(topic for topic, _ in by_decoder().get(name, ())))
    return known or ["plant/press/flow"]


def corpus(name: str) -> list[bytes]:
    """Give the inputs to begin with: each example by itself, and all of them in a row."""
    if name == TOPICS:
        return [f"{text}\n{topic}".encode() for row in table.built_in() for text in row.filters for topic in _SOME]
    topics = topics_of(name)
    messages = [packed(topics.index(topic), payload) for topic, payload in by_decoder().get(name, ())]
    return [*messages, b"".join(messages[:MOST_MESSAGES]), packed(0, b"1", _RETAINED), packed(0, b"{}", _TYPED)]


_SOME = ("devices/a/telemetry", "/a//b", "$SYS/x")


def decoder(name: str) -> Callable[[bytes], None]:
    """Give what takes an input for a decoder."""
    rows, topics = rows_of(name), topics_of(name)
    ingest = Ingest()
    ingest.routes = Routes(rows, AHEAD)
    properties = {"device": "d1"}

    def take(data: bytes) -> None:
        if len(ingest.context.memory):  # topics may have been announced
            ingest.routes = Routes(rows, AHEAD)
        ingest.context = Context(Limits(), _nobody)
        for number, (choice, flags, body) in enumerate(unpacked(data)):
            topic, payload = topics[choice % len(topics)], body
            if flags & _OWN_TOPIC:
                last, payload = body[:16].decode("utf-8", "ignore"), body[16:]
                topic = topic.rpartition("/")[0] + "/" + "".join(c for c in last if c not in "+#\0")
            typed = properties | {"content-type": _TYPES[choice % len(_TYPES)]} if flags & _TYPED else properties
            now = NOW + (number * 10**9 if flags & _LATER else 0)
            arrival = Arrival(topic, payload, now, bool(flags & _RETAINED), bool(flags & _REPLAYED), typed)
            route = ingest.routes.of(arrival)
            if route is not None and route.problem is None:
                bounded(one_outcome(route.decode(arrival, route, ingest.context)))
                ingest.routes.announce(ingest.context.memory.changes())

    return take


def _nobody(_: str) -> None:
    """Nobody is registered."""


def route(data: bytes) -> None:
    """Take an input for the router: a filter and a topic, a line each."""
    text, _, topic = data.decode("utf-8", "ignore").partition("\n")
    rows = []
    if text and filters.problem(text) is None:
        rows = [Row("mine", [text], "json", "{1}")]
        levels = text.split("/")
        if topic:
            hidden = topic.startswith("$") and levels[0] in ("+", "#")
            meant = not hidden and _matches(levels, topic.split("/"))
            assert filters.matches(levels, topic.split("/")) == meant
        assert filters.covers(levels, levels) or text.startswith("$")
        assert filters.fewest([text, text]) == [text]
    found = Routes([*rows, *table.built_in()], AHEAD).of(Arrival(topic, b"", NOW)) if topic else None
    if found is not None:
        assert found.levels == tuple(topic.split("/"))
        assert found.base <= len(found.levels)


def _matches(levels: list[str], topic: list[str]) -> bool:
    """Say what MQTT says, level by level."""
    if levels == ["#"]:
        return True
    if not levels or not topic:
        return levels == topic
    return levels[0] in ("+", topic[0]) and _matches(levels[1:], topic[1:])


def main(name: str, options: list[str]) -> None:
    """Fuzz until libFuzzer's options say to stop; does not return. A folder gets the inputs to begin with."""
    if name != TOPICS and name not in formats.NAMES:
        sys.exit(f"there is no target {name}; there are {', '.join([TOPICS, *formats.NAMES])}")
    take = route if name == TOPICS else decoder(name)
    for folder in filter(Path.is_dir, map(Path, options)):
        for seed in corpus(name):
            (folder / hashlib.sha256(seed).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], take)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])

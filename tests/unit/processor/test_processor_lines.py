"""Line protocol: what is written can be read, whatever it holds."""

import json
import math
import sys
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from line_protocol_parser import parse_line  # type: ignore[import-untyped]  # it has no stubs

from contracts import line_layout
from contracts.readings import Reading, Value
from contracts.timeseries import HOUR, MINUTE, Days, Kind, Tier
from processor.lines import LineWriter, Row
from processor.series import Series
from processor.windows import Window, aggregate

ODD = [" ", ",", "=", '"', "'", "\\", "%", "%s", "%%", "%5C", "\n", "\r", "\x00", "\x7f", "\x85", "\u2028", "ß", "😀"]
texts = st.lists(st.sampled_from(ODD) | st.text(st.characters(exclude_categories=["Cs"]), max_size=3), max_size=5).map(
    "".join
)
stored_texts = texts.map(lambda text: text.replace("\0", ""))
"""What the other parser takes; servers also take NUL, and subnormal numbers."""
numbers = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False)
values: st.SearchStrategy[Value] = st.one_of(numbers, st.booleans(), stored_texts)
times = st.integers(0, (1 << 63) - 2)
readings = st.builds(
    Reading,
    device=texts,
    ts=times,
    received=times,
    values=st.dictionaries(texts, values, min_size=1, max_size=4),
    flags=st.dictionaries(texts, texts, max_size=2),
    profile=texts,
)


def parsed(data: bytes) -> list[dict[str, Any]]:
    """Read lines; a line break within quotes ends none."""
    lines, begun = [], ""
    for part in data.decode().split("\n")[:-1]:
        begun += part
        if begun.replace("\\\\", "").replace('\\"', "").count('"') % 2:
            begun += "\n"
        else:
            lines.append(parse_line(begun))
            begun = ""
    assert not begun
    return lines


def read(line: dict[str, Any]) -> Reading:
    fields = line["fields"]
    flags = json.loads(fields.pop(line_layout.FLAGS, "{}"))
    profile, tier = line_layout.profile_of(line["measurement"])
    assert tier is Tier.RAW
    found: dict[str, Value] = {}
    for field, value in fields.items():
        metric = line_layout.metric_of(field)
        assert metric is not None
        assert metric[1] is value.__class__
        found[metric[0]] = value
    device = line_layout.from_name(line["tags"].pop(line_layout.TAG))
    assert not line["tags"]
    return Reading(device, line["time"], 0, found, flags, profile)


@given(st.lists(readings, max_size=4))
@example([Reading("d", 1, 1, {"m": 1.0, "t": ""})])
@example([Reading("", 1, 1, {"": ""}, {}, "")])
def test_readings_come_back(sent: list[Reading]) -> None:
    writer = LineWriter()
    for _ in range(2):  # with names that are not known yet, and that are
        found = [read(line) for line in parsed(writer.points(sent))]
        assert found == [Reading(r.device, r.ts, 0, r.values, r.flags, r.profile) for r in sent]


@given(numbers)
def test_a_number_comes_back_to_the_last_bit(number: float) -> None:
    (line,) = parsed(LineWriter().points([Reading("d", 1, 1, {"m": number})]))
    assert line["fields"]["m"].hex() == number.hex()


def test_an_ordinary_reading_looks_ordinary() -> None:
    reading = Reading("pump 7", 1_000, 1, {"temperature": 21.5, "on": True, "s": 'a "b"'}, {"clock": "0"}, "pump")
    assert LineWriter().points([reading]).decode() == (
        r'pump,device=pump\ 7 temperature=21.5,on:boolean=true,s:text="a \"b\"",flags:json="{\"clock\":\"0\"}" 1000'
        "\n"
    )


def series_of(device: str, metric: str, kind: Kind, profile: str = "pump") -> Series:
    return Series(0, profile, device, metric, kind, Days())


def window_of(line: dict[str, Any], metric: str, kind: Kind) -> Window:
    assert all(line_layout.aggregate_of(field)[2] for field in line["fields"])
    found = {
        name: line["fields"][line_layout.window_field_of(metric, kind, name)]
        for name in line_layout.aggregates_of(kind)
    }
    window = Window(line_layout.start_of_row(line["time"]))
    window.count, window.last = found["count"], found["last"]
    if kind is float:
        window.sum = line_layout.sum_of(found["mean"], window.count)
        window.m2 = line_layout.m2_of(found["stddev"], window.count)
        window.min, window.max, window.first = found["min"], found["max"], found["first"]
    return window


@given(
    st.one_of(st.lists(numbers, min_size=1), st.lists(st.booleans(), min_size=1), st.lists(stored_texts, min_size=1)),
    texts,
    texts,
    texts,
    st.integers(0, 1 << 20),
)
def test_windows_come_back(points: list[Value], profile: str, device: str, metric: str, fence: int) -> None:
    series = series_of(device, metric, points[0].__class__, profile)
    sent = aggregate(5 * MINUTE, series.kind, points)
    (line,) = parsed(LineWriter().windows([(Tier.M1, series, sent)], {0: fence}))
    assert line_layout.profile_of(line["measurement"]) == (profile, Tier.M1)
    assert line_layout.from_name(line["tags"][line_layout.TAG]) == device
    assert line["time"] == 5 * MINUTE + fence
    found = window_of(line, metric, series.kind)
    for exact in ("start", "count", "min", "max", "first", "last"):
        assert getattr(found, exact) == getattr(sent, exact)
    largest = sys.float_info.max
    if abs(sent.sum) < largest / 2 and sent.m2 < largest / 2:
        assert math.isclose(found.sum, sent.sum, rel_tol=1e-15, abs_tol=1e-300)
        assert math.isclose(found.m2, sent.m2, rel_tol=1e-15, abs_tol=1e-300)


def test_windows_of_one_device_and_start_share_a_line() -> None:
    hour, minute = aggregate(HOUR, float, [1.0]), aggregate(HOUR, float, [1.0, 2.0])
    a, b, other = series_of("d", "a", float), series_of("d", "b", str), series_of("e", "a", float)
    text = aggregate(HOUR, str, ["x"])
    rows: list[Row] = [(Tier.M1, a, minute), (Tier.M1, b, text), (Tier.M1, other, minute), (Tier.H1, other, hour)]
    lines = parsed(LineWriter().windows(rows, {0: 3}))
    assert [(line["measurement"], line["tags"]["device"], len(line["fields"])) for line in lines] == [
        ("pump:1m", "d", 9),
        ("pump:1m", "e", 7),
        ("pump:1h", "e", 7),
    ]
    assert lines[0]["fields"]["a:mean"] == 1.5
    assert lines[0]["fields"]["a:count"] == 2
    assert isinstance(lines[0]["fields"]["a:count"], int)


def test_nothing_is_nothing() -> None:
    assert LineWriter().points([]) == LineWriter().windows([], {}) == b""


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("processor.lines._MOST_CACHED", 3)
    monkeypatch.setattr("processor.lines._MOST_FORMATS", 2)
    writer = LineWriter()
    sent = [Reading(f"d{n}", n, n, {f"m{n % 5}": 1.0}, {}, f"p{n % 7}") for n in range(50)]
    assert [read(line).device for line in parsed(writer.points(sent))] == [reading.device for reading in sent]

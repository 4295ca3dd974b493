"""What VictoriaMetrics is sent is read back as it was, in lines that it understands."""

from hypothesis import example, given
from hypothesis import strategies as st
from line_protocol_parser import parse_line  # type: ignore[import-untyped]  # it has no types

from contracts.line_layout import FLAGS, field_of, from_name, measurement_of, metric_of
from contracts.readings import Reading, Value
from contracts.timeseries import MINUTE, Days, Tier
from contracts.victoria_layout import PROFILE, TEXT, TICK, is_same, row_time, rows_of, start_of_row, window_names_of
from processor.series import Series
from processor.store import Span
from processor.victoria_lines import VictoriaLines, row_of, window_of
from processor.victoria_spans import chunks, together
from processor.windows import aggregate

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.floats(-1e300, 1e300, allow_subnormal=False)  # the parser refuses those; the server makes 0 of them
values = st.one_of(numbers, st.booleans(), names)
readings = st.builds(
    Reading,
    device=names,
    ts=st.integers(0, 1 << 61),
    received=st.just(1),
    values=st.dictionaries(names, values, min_size=1, max_size=4),
    flags=st.one_of(st.just({}), st.just({"clock": "1", "health": ""})),
    profile=names,
)


@given(sent=st.lists(readings, max_size=5))
@example(sent=[Reading("a%s", 1, 1, {"100%": 1.0, "b%d": "%s"}, {}, "%")])
def test_readings_come_back_from_their_lines(sent: list[Reading]) -> None:
    lines = VictoriaLines()
    for reading in sent:
        lines.add(reading)
    found = [parse_line(line) for line in lines.take().split("\n") if line]
    assert lines.take() == ""
    for reading in sent:
        mine = [
            line
            for line in found
            if line["tags"][PROFILE]
            and from_name(line["tags"][PROFILE]) == reading.profile
            and from_name(line["tags"]["device"]) == reading.device
            and line["time"] == reading.ts // TICK
        ]
        assert {line["measurement"] for line in mine} == {measurement_of(reading.profile, Tier.RAW)}
        for metric, value in reading.values.items():
            name = field_of(metric, value.__class__)
            back = [
                from_name(line["tags"][TEXT]) if isinstance(value, str) else line["fields"][name]
                for line in mine
                if name in line["fields"]
            ]
            assert value in back
        there = {metric_of(name) for line in mine for name in line["fields"] if name != FLAGS}
        assert there >= {(metric, value.__class__) for metric, value in reading.values.items()}


@given(of=st.lists(numbers.map(lambda number: number / 1e150), min_size=1, max_size=50), start=st.integers(0, 10**6))
def test_windows_come_back_from_their_rows(of: list[float], start: int) -> None:
    window = aggregate(start * MINUTE, float, of)
    at = row_time(window.start // TICK, window.count)
    row = row_of(window)
    assert start_of_row(at, row) == window.start // TICK
    back = window_of(window.start, row)
    assert (back.count, back.min, back.max, back.first, back.last) == (len(of), min(of), max(of), of[0], of[-1])
    assert is_same(row_of(back), row)


@given(counts=st.permutations(range(1, 8)))
def test_of_several_rows_the_one_that_knows_most_points_counts(counts: list[int]) -> None:
    by_aggregate = {aggregate: name for name, aggregate in window_names_of("p", "m", bool, Tier.M1).items()}
    names = {name: aggregate for aggregate, name in by_aggregate.items()}
    found = [
        ({"__name__": by_aggregate["count"]}, [(row_time(60_000, count), float(count)) for count in counts]),
        ({"__name__": by_aggregate["last"]}, [(row_time(60_000, count), float(count % 2)) for count in counts[1:]]),
    ]
    best = max(counts[1:])  # the first one is not whole
    row: dict[str, Value] = {"count": float(best), "last": bool(best % 2)}
    assert rows_of(bool, names, found) == {60_000: (row_time(60_000, best), row)}


def test_spans_that_are_near_are_read_together_and_devices_in_parts() -> None:
    one, other = (Series(0, "p", device, "m", float, Days()) for device in ("a", "b"))
    late = Series(0, "p", "a", "n", float, Days())
    spans = [Span(one, 0, MINUTE), Span(other, MINUTE, 2 * MINUTE), Span(one, 300 * MINUTE, 301 * MINUTE)]
    groups = list(together([*spans, Span(late, 0, MINUTE)]))
    assert groups == [
        (("p", "m", float), {"a": [spans[0]], "b": [spans[1]]}),
        (("p", "m", float), {"a": [spans[2]]}),
        (("p", "n", float), {"a": [Span(late, 0, MINUTE)]}),
    ]
    devices = {f"{number:0100}": number for number in range(100)}
    parts = list(chunks(devices))
    assert len(parts) > 1
    assert {name: number for part in parts for name, number in part.items()} == devices

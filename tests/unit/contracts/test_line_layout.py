"""How series look in stores that speak line protocol."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts import line_layout
from contracts.timeseries import HOUR, MINUTE, ROLLUPS, Kind, Tier

SUFFIXES = [":raw", ":1m", ":1h", ":1d", ":number", ":boolean", ":text", ":json", ":mean", ":count"]
pieces = st.text(st.characters(exclude_categories=["Cs"]), max_size=4) | st.sampled_from(
    [
        *SUFFIXES,
        "%",
        "%25",
        "%5C",
        "%5",
        "\\",
        "_",
        "#",
        "time",
        "device",
        "flags",
        ":",
        " ",
        ",",
        "=",
        '"',
        "\n",
        "\x00",
    ]
)
texts = st.lists(pieces, max_size=4).map("".join)
kinds: st.SearchStrategy[Kind] = st.sampled_from([float, bool, str])


@pytest.mark.parametrize(
    ("metric", "kind", "field"),
    [
        ("temperature", float, "temperature"),
        ("door", bool, "door:boolean"),
        ("state", str, "state:text"),
        ("rh %", float, "rh %"),
        ("Wärme/ein", float, "Wärme/ein"),
        ("state:text", float, "state:text:number"),
        ("state:text", str, "state:text:text"),
        ("flags:json", float, "flags:json:number"),
        ("time", float, "%74ime"),
        ("time", str, "time:text"),
        ("device", float, "%64evice"),
        ("_private", float, "%5Fprivate"),
        ("a\\b", float, "a%5Cb"),
        ('3.5" tank', float, "3.5%22 tank"),
        ("a%5Cb", float, "a%255Cb"),
        ("", float, "%25"),
    ],
)
def test_fields_are_called_as_their_metrics_are(metric: str, kind: Kind, field: str) -> None:
    assert line_layout.field_of(metric, kind) == field
    assert line_layout.metric_of(field) == (metric, kind)


@pytest.mark.parametrize(
    ("profile", "tier", "measurement"),
    [
        ("pump", Tier.RAW, "pump"),
        ("pump", Tier.M1, "pump:1m"),
        ("pump:1m", Tier.RAW, "pump:1m:raw"),
        ("pump:1m", Tier.D1, "pump:1m:1d"),
        ("#1", Tier.RAW, "%231"),
    ],
)
def test_measurements_are_called_as_their_profiles_are(profile: str, tier: Tier, measurement: str) -> None:
    assert line_layout.measurement_of(profile, tier) == measurement
    assert line_layout.profile_of(measurement) == (profile, tier)


@given(texts, st.sampled_from(Tier))
def test_every_measurement_is_found_back(profile: str, tier: Tier) -> None:
    assert line_layout.profile_of(line_layout.measurement_of(profile, tier)) == (profile, tier)


@given(texts, kinds)
@example("flags", str)
def test_every_metric_is_found_back(metric: str, kind: Kind) -> None:
    field = line_layout.field_of(metric, kind)
    assert field != line_layout.FLAGS
    assert line_layout.metric_of(field) == (metric, kind)
    for aggregate in line_layout.aggregates_of(kind):
        assert line_layout.aggregate_of(line_layout.window_field_of(metric, kind, aggregate)) == (
            metric,
            kind,
            aggregate,
        )


@given(texts)
def test_every_device_is_found_back(device: str) -> None:
    assert line_layout.from_name(line_layout.to_tag(device)) == device


@given(texts)
def test_servers_take_every_name(text: str) -> None:
    name, tag = line_layout.to_name(text), line_layout.to_tag(text)
    assert name
    assert tag
    assert name not in ("time", line_layout.TAG)
    assert not name.startswith(("_", "#"))
    assert not any(character < " " or character in '"\\\x7f' for character in name + tag)


def test_the_flags_are_no_metric() -> None:
    assert line_layout.metric_of(line_layout.FLAGS) is None


@pytest.mark.parametrize("tier", ROLLUPS)
def test_a_newer_owners_row_comes_after_an_older_ones_in_the_same_window(tier: Tier) -> None:
    start = {Tier.M1: 7 * MINUTE, Tier.H1: 3 * HOUR, Tier.D1: 23 * HOUR}[tier]
    rows = [line_layout.row_time(start, fence) for fence in (0, 1, 2, 1 << 40)]
    assert sorted(set(rows)) == rows
    assert {line_layout.start_of_row(row) for row in rows} == {start}


@given(st.floats(-1e300, 1e300), st.integers(1, 10**6))
def test_the_sum_is_found_back_up_to_rounding(total: float, count: int) -> None:
    back = line_layout.sum_of(line_layout.mean_of(total, count), count)
    assert math.isclose(back, total, rel_tol=1e-15, abs_tol=1e-300)


@given(st.floats(0, 1e300), st.integers(1, 10**6))
def test_m2_is_found_back_up_to_rounding(m2: float, count: int) -> None:
    back = line_layout.m2_of(line_layout.stddev_of(m2, count), count)
    assert math.isclose(back, m2, rel_tol=1e-15, abs_tol=1e-300)


def test_what_is_too_large_for_a_float_stays_so() -> None:
    assert line_layout.sum_of(line_layout.mean_of(math.inf, 2), 2) == math.inf
    assert line_layout.m2_of(line_layout.stddev_of(math.inf, 2), 2) == math.inf

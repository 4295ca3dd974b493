import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import units
from contracts.units import IDENTITY, MAX_UNIT, canonical, conversion

NUMBERS = st.floats(-1e9, 1e9)

REGISTRY = """
m kg g s A K cd mol Hz rad sr N Pa J W C V F Ohm S Wb T H Cel lm lx Bq Gy Sv kat m2 m3 l m/s m/s2 m3/s l/s W/m2 cd/m2
bit bit/s lat lon pH dB dBW Bspl count / % %RH %EL EL 1/s 1/min beat/min beats S/m B VA VAs var vars J/m kg/m3 deg NTU
ms min h MHz kW kVA kvar Ah Wh kWh varh kvarh kVAh Wh/km KiB GB Mbit/s B/s MB/s mV mA dBm ug/m3 mm/h m/h ppm /100 /1000
hPa mm cm km km/h ppb
"""
SENML = REGISTRY.split()
KNOWN = {unit.name for unit, _ in units._rows()}  # noqa: SLF001 - the table itself
RARE = {"cd", "mol", "sr", "Wb", "T", "H", "lm", "Bq", "Gy", "Sv", "kat", "cd/m2", "Bspl", "beats", "J/m", "Wh/km"}


@pytest.mark.parametrize(
    ("sent", "inside"),
    [
        *[(sent, "degC") for sent in ("°C", "℃", "Cel", "C", "celsius", "Celsius", "deg C", "ºC", "˚C", "degC", "Â°C")],
        *[(sent, "degF") for sent in ("°F", "℉", "F", "fahrenheit")],
        *[(sent, "%") for sent in ("%", "%RH", "% RH", "\uff05", "percent", "%EL")],
        *[(sent, "hPa") for sent in ("hPa", "hpa", "HPA")],
        *[(sent, "kWh") for sent in ("kWh", "KWH", "kwh", "kW·h", "kW h")],
        *[(sent, "mi/h") for sent in ("mph", "mi/h", "mi / h")],
        *[(sent, "km/h") for sent in ("km/h", "kmh", "kph")],
        *[(sent, "lx") for sent in ("lx", "lux", "LUX")],
        *[(sent, "uS/cm") for sent in ("uS/cm", "µS/cm", "\u03bcS/cm")],
        *[(sent, "ug/m3") for sent in ("µg/m³", "ug/m^3", "ug/m3")],
        ("W-min", "W.min"),
        ("\u2126", "Ohm"),
        ("m³/h", "m3/h"),
        ("W/m²", "W/m2"),
        ("l", "L"),
        ("/", "1"),
        ('"', "in"),
        ("inch", "in"),
        ("Meters", "m"),
        ("", ""),
    ],
)
def test_what_devices_write_has_one_spelling_inside(sent: str, inside: str) -> None:
    assert canonical(sent) == inside


@pytest.mark.parametrize("unit", [unit for unit in SENML if unit not in RARE])
def test_senml_units_are_known(unit: str) -> None:
    assert canonical(unit) in KNOWN


@pytest.mark.parametrize(
    ("one", "other"), [("mW", "MW"), ("mWh", "MWh"), ("mPa", "MPa"), ("s", "S"), ("kb", "kB"), ("m", "M"), ("Mv", "mV")]
)
def test_case_is_heeded_where_it_tells_units_apart(one: str, other: str) -> None:
    assert canonical(one) != canonical(other)
    assert conversion(one, other) is None or {canonical(one), canonical(other)} <= KNOWN


def test_no_spelling_means_two_units() -> None:
    found: dict[str, str] = {}
    for unit, others in units._rows():  # noqa: SLF001 - the table itself
        for spelling in (unit.name, *others):
            assert found.setdefault(canonical(spelling), unit.name) == canonical(spelling) == unit.name


@given(st.text(max_size=100))
def test_an_unknown_unit_is_kept_as_text_and_bounded(text: str) -> None:
    inside = canonical(text)
    assert len(inside) <= MAX_UNIT
    assert canonical(inside) == inside
    assert conversion(text, text) == IDENTITY


@pytest.mark.parametrize(
    ("sent", "wanted", "exact"),
    [
        ("°F", "degC", lambda v: (v - 32) * Fraction(5, 9)),
        ("Pa", "hPa", lambda v: v / 100),
        ("mbar", "hPa", lambda v: v),
        ("psi", "kPa", lambda v: v * Fraction("4.4482216152605") / Fraction("0.64516")),
        ("mph", "km/h", lambda v: v * Fraction("1.609344")),
        ("m/s", "km/h", lambda v: v * Fraction(18, 5)),
        ("in", "mm", lambda v: v * Fraction("25.4")),
        ("W-min", "Wh", lambda v: v / 60),
        ("mWh", "kWh", lambda v: v / 1_000_000),
        ("MJ", "kWh", lambda v: v * Fraction(5, 18)),
        ("/", "%", lambda v: v * 100),
        ("ppm", "%", lambda v: v / 10_000),
    ],
)
@given(value=NUMBERS)
def test_a_converted_number_is_the_exact_one_but_for_rounding(
    sent: str, wanted: str, exact: Callable[[Fraction], Fraction], value: float
) -> None:
    convert = conversion(sent, wanted)
    assert convert is not None
    expected = float(exact(Fraction(value)))
    assert abs(convert.apply(value) - expected) <= math.ulp(max(abs(expected), 1e-300)) + (
        math.ulp(32.0) if convert.before else 0.0
    )


@pytest.mark.parametrize(
    ("value", "sent", "wanted", "expected"),
    [
        (212.0, "degF", "degC", 100.0),
        (32.0, "degF", "degC", 0.0),
        (-40.0, "degF", "degC", -40.0),
        (100.0, "degC", "degF", 212.0),
        (99870.0, "Pa", "hPa", 998.7),
        (2917.0, "mV", "V", 2.917),
        (88204.0, "W.min", "kWh", 88204 / 60_000),
        (30.0, "dBW", "dBm", 60.0),
    ],
)
def test_round_numbers_stay_round(value: float, sent: str, wanted: str, expected: float) -> None:
    convert = conversion(sent, wanted)
    assert convert is not None
    assert convert.apply(value) == expected


@given(NUMBERS, st.sampled_from(units._rows()), st.sampled_from(units._rows()))  # noqa: SLF001 - every unit there is
def test_there_and_back_is_where_it_began(
    value: float, one: tuple[units._Unit, list[str]], other: tuple[units._Unit, list[str]]
) -> None:
    there, back = conversion(one[0].name, other[0].name), conversion(other[0].name, one[0].name)
    assert (there is None) == (back is None) == (one[0].quantity != other[0].quantity)
    if there is not None and back is not None:
        offset = abs(there.before) + abs(back.after)
        assert math.isclose(back.apply(there.apply(value)), value, rel_tol=1e-12, abs_tol=1e-12 * (offset + 600))


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(sorted(SENML)))
def test_a_unit_converted_to_itself_changes_nothing(value: float, unit: str) -> None:
    convert = conversion(unit, canonical(unit))
    assert convert == IDENTITY
    assert not convert.changes
    assert convert.apply(value) == value


def test_the_same_unit_under_two_names_changes_nothing() -> None:
    convert = conversion("mbar", "hPa")
    assert convert is not None
    assert not convert.changes


@pytest.mark.parametrize(("sent", "wanted"), [("degC", "%"), ("W", "VA"), ("Wh", "W"), ("widgets", "degC"), ("", "V")])
def test_what_measures_something_else_does_not_convert(sent: str, wanted: str) -> None:
    assert conversion(sent, wanted) is None

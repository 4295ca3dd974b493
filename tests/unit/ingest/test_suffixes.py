import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.units import canonical
from ingest.suffixes import once, suffix_of, units_of


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("temperature_C", "degC"),
        ("temperature_F", "degF"),
        ("rain_rate_mm_h", "mm/h"),
        ("rain_mm", "mm"),
        ("wind_avg_m_s", "m/s"),
        ("wind_avg_km_h", "km/h"),
        ("wind_max_mi_h", "mi/h"),
        ("storm_dist_km", "km"),
        ("rain_in", "in"),
        ("rain_rate_in_h", "in/h"),
        ("pressure_hPa", "hPa"),
        ("pressure_kPa", "kPa"),
        ("pressure_psi", "psi"),
        ("pressure_PSI", "psi"),
        ("supply_mV", "mV"),
        ("supply_V", "V"),
        ("load_A", "A"),
        ("power_W", "W"),
        ("energy_kWh", "kWh"),
        ("wind_dir_deg", "deg"),
        ("level_dB", "dB"),
        ("light_lux", "lx"),
    ],
)
def test_the_longest_suffix_is_the_unit(name: str, unit: str) -> None:
    assert units_of([name]) == {name: unit}
    assert canonical(unit) == unit


@pytest.mark.parametrize("name", ["humidity", "_C", "temperature_c", "ABC", "", "uv_index", "C"])
def test_other_names_have_none(name: str) -> None:
    assert suffix_of(name) == ""


def test_of_one_value_in_two_units_that_nearer_to_si_is_kept() -> None:
    fields = {"t_F": 68, "t_C": 20, "w_mi_h": 1, "w_km_h": 2, "w_m_s": 3, "p_psi": 1, "p_kPa": 2, "x_F": 50, "t_V": 1}
    assert once(fields) == {"t_C": 20, "w_m_s": 3, "p_kPa": 2, "x_F": 50, "t_V": 1}


@given(st.dictionaries(st.text(max_size=5), st.integers()))
def test_what_has_no_suffix_is_kept_in_its_order(fields: dict[str, int]) -> None:
    plain = {name: value for name, value in fields.items() if not suffix_of(name)}
    assert list(once(plain).items()) == list(plain.items())

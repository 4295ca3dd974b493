"""Units that stand at the end of a name, where a convention says that they do: `wind_avg_m_s`. Pure."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from contracts.units import conversion

_UNITS = {
    "_C": "degC",
    "_F": "degF",
    "_V": "V",
    "_mV": "mV",
    "_A": "A",
    "_W": "W",
    "_kWh": "kWh",
    "_hPa": "hPa",
    "_kPa": "kPa",
    "_psi": "psi",
    "_PSI": "psi",
    "_deg": "deg",
    "_m_s": "m/s",
    "_km_h": "km/h",
    "_mi_h": "mi/h",
    "_mm": "mm",
    "_in": "in",
    "_mm_h": "mm/h",
    "_in_h": "in/h",
    "_km": "km",
    "_dB": "dB",
    "_lux": "lx",
}
_LONGEST_FIRST = sorted(_UNITS, key=len, reverse=True)
_PREFERRED = {suffix: rank for rank, suffix in enumerate(_UNITS)}  # of those for one quantity, the first is nearer SI


@lru_cache(maxsize=4096)
def suffix_of(name: str) -> str:
    """Give the suffix of `name` that is a unit; empty where it has none, or is nothing else."""
    return next((suffix for suffix in _LONGEST_FIRST if name.endswith(suffix) and len(name) > len(suffix)), "")


def units_of(names: Iterable[str]) -> dict[str, str]:
    """Give the units of those names that end in one."""
    return {name: _UNITS[suffix] for name in names if (suffix := suffix_of(name))}


def once(fields: Mapping[str, object]) -> dict[str, object]:
    """Leave out each field that says in another unit what one beside it says: of degC and degF, degC is kept."""
    kept: dict[str, list[str]] = {}
    out: dict[str, object] = {}
    for name in sorted(fields, key=lambda name: _PREFERRED.get(suffix_of(name), -1)):
        suffix = suffix_of(name)
        if suffix:
            before = kept.setdefault(name.removesuffix(suffix), [])
            if any(conversion(_UNITS[suffix], _UNITS[other]) for other in before):
                continue
            before.append(suffix)
        out[name] = fields[name]
    return {name: out[name] for name in fields if name in out}

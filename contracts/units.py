"""Units of measurement: one spelling inside for all that devices write, and conversions between them. Pure.

A fixed table, since what devices send is a fixed list: the names of SenML (RFC 8428, RFC 8798), of home automation and
of field devices. The spelling inside is close to UCUM's; symbols that UCUM puts in brackets are plain (`psi`, `in`).
Where two conventions use one symbol, it means what sensors send: `C` and `F` are degrees, not coulomb and farad.
"""

import unicodedata
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from contracts.unit_table import TABLE

MAX_UNIT = 32
"""Longest unit in characters; a longer one is cut to this."""

_EXACT_FLOAT = 1 << 53

_CASE_TELLS = frozenset({"data", "data rate"})  # a bit from a byte, so that other case is not the same unit


@dataclass(frozen=True)
class Conversion:
    """From one unit to another: `(value + before) * numerator / denominator + after`.

    Whole numbers instead of one rounded factor, and the offset on whichever side it is exact: so 212 degF are 100 degC
    and 99870 Pa are 998.7 hPa, with no digits that the device has not sent.
    """

    before: float
    numerator: float
    denominator: float
    after: float

    @property
    def changes(self) -> bool:
        """Whether it does anything."""
        return (self.before, self.numerator, self.denominator, self.after) != _AS_IT_IS

    def apply(self, value: float) -> float:
        """Convert; may overflow to an infinity."""
        return (value + self.before) * self.numerator / self.denominator + self.after


_AS_IT_IS = (0.0, 1.0, 1.0, 0.0)
IDENTITY = Conversion(*_AS_IT_IS)


@dataclass(frozen=True)
class _Unit:
    name: str
    quantity: str
    factor: Fraction
    offset: Fraction


def canonical(unit: str) -> str:
    """Spell `unit` as it is spelled inside; one that is not known is kept as text, cut to MAX_UNIT. Never raises."""
    return _canonical(unit[: 2 * MAX_UNIT])


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    plain = _plain(text)
    return _SPELLINGS.get(plain) or _FOLDED.get(_fold(plain)) or " ".join(text.split())[:MAX_UNIT].rstrip()


def conversion(from_: str, to: str) -> Conversion | None:
    """How a number in unit `from_` becomes one in `to`, in any spelling; None if they measure different things.

    A unit that is not known converts to itself alone.
    """
    return _conversion(from_[: 2 * MAX_UNIT], to[: 2 * MAX_UNIT])


@lru_cache(maxsize=4096)
def _conversion(from_: str, to: str) -> Conversion | None:
    there, here = canonical(from_), canonical(to)
    if there == here:
        return IDENTITY
    source, target = _UNITS.get(there), _UNITS.get(here)
    if source is None or target is None or source.quantity != target.quantity:
        return None
    ratio, shift = source.factor / target.factor, source.offset - target.offset
    if max(ratio.numerator, ratio.denominator) <= _EXACT_FLOAT:
        numerator, denominator = float(ratio.numerator), float(ratio.denominator)
    else:
        numerator, denominator = float(ratio), 1.0
    before, after = shift / source.factor, shift / target.factor
    if Fraction(float(before)) == before:
        return Conversion(float(before), numerator, denominator, 0.0)
    return Conversion(0.0, numerator, denominator, float(after))


def _plain(text: str) -> str:
    """Bring the many ways to write one sign to one."""
    same = unicodedata.normalize("NFKC", text.replace("º", "°").replace("˚", "°"))
    return "".join(same.split()).replace("·", ".").replace("⋅", ".").replace("*", ".").replace("^", "")


_WORD = 5


def _fold(text: str) -> str:
    """Forget the case, unless it may tell milli from mega, or a symbol of one letter from another."""
    if len(text) < 2:  # noqa: PLR2004 - one letter
        return text
    if text[0] in "mM" and not (len(text) >= _WORD and text.isalpha()):
        return text[0] + text[1:].lower()
    return text.lower()


def _fraction(text: str) -> Fraction:
    numerator, _, denominator = text.partition("/")
    return Fraction(numerator) / Fraction(denominator or 1)


def _rows() -> list[tuple[_Unit, list[str]]]:
    rows = []
    for quantity, table in TABLE.items():
        for row in table.strip().splitlines():
            name, *rest = row.split()
            size, spellings = (rest[0], rest[1:]) if rest else ("1", [])
            factor, _, offset = size.partition("+")
            rows.append((_Unit(name, quantity, _fraction(factor), _fraction(offset or "0")), spellings))
    return rows


def _index() -> tuple[dict[str, _Unit], dict[str, str], dict[str, str]]:
    """Index the table: units by name, names by spelling, and by spelling without case where that names one unit."""
    units: dict[str, _Unit] = {}
    spellings: dict[str, str] = {}
    folded: dict[str, set[str]] = {}
    for unit, others in _rows():
        units[unit.name] = unit
        for spelling in map(_plain, (unit.name, *others)):
            spellings[spelling] = unit.name
            if unit.quantity not in _CASE_TELLS:
                folded.setdefault(_fold(spelling), set()).add(unit.name)
    return units, spellings, {key: names.pop() for key, names in folded.items() if len(names) == 1}


_UNITS, _SPELLINGS, _FOLDED = _index()

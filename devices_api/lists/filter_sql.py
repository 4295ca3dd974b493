"""Filters as conditions on `device`, for SQLite and PostgreSQL: they hold for what Filter.takes takes.

Every condition is true or false, never null, so that `not` is the negation that it is in Python. What other tables say
is asked of them as a list of devices: they have it in an index, or are much narrower than `device`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    ColumnElement,
    Double,
    Select,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    not_,
    or_,
    select,
    true,
)

from devices_api.access import View
from devices_api.lists.filter_terms import All, Any_, Kind, Node, Not, Operator, Term, holds
from devices_api.lists.filters import Filter
from devices_api.registry.visible import below, inside, seen_group
from devices_api.tables import activity, device, group, presence, tag

Column = ColumnElement[Any]
Condition = ColumnElement[bool]

_COLUMNS: dict[str, Column] = {
    "id": device.c.id,
    "name": device.c.name,
    "profile": device.c.profile,
    "enabled": device.c.enabled,
    "created": device.c.created,
    "updated": device.c.updated,
    "version": device.c.version,
}
_NULLABLE: dict[str, Column] = {
    "zone": func.nullif(device.c.zone, ""),
    "deleted": device.c.deleted,
    "location.latitude": device.c.latitude,
    "location.longitude": device.c.longitude,
}
_TOLD: dict[str, Column] = {
    "online": presence.c.online,
    "last_changed": presence.c.changed,
    "reason": func.nullif(presence.c.reason, ""),
}

_DIGITS = 308


def condition(filter_: Filter, view: View, dialect: str) -> Condition:
    """Hold for devices that `filter_` takes, deleted or not; `dialect` is the name of the engine's dialect.

    A filter knows only the groups that `view` shows: of others it would tell who is in them. Which devices `view`
    shows is not part of it.
    """
    return _node(filter_.root, _Terms(view, postgresql=dialect == "postgresql"))


def _node(node: Node, terms: "_Terms") -> Condition:
    match node:
        case Not():
            return not_(_node(node.part, terms))
        case All():
            return and_(*(_node(part, terms) for part in node.parts))
        case Any_():
            return or_(*(_node(part, terms) for part in node.parts))
    return terms.of(node)


class _Terms:
    """Terms as conditions, for what somebody sees, and one of two databases."""

    def __init__(self, view: View, *, postgresql: bool) -> None:
        self._view, self._postgresql = view, postgresql

    def of(self, term: Term) -> Condition:
        """Hold where `term` does."""
        name = term.field.name
        if name in _COLUMNS:
            return true() if term.operator is Operator.EXISTS else self._compare(term, _COLUMNS[name])
        if name in _NULLABLE:
            return self._known(term, _NULLABLE[name])
        if name in ("attributes", "facts"):
            return (self._json_postgresql if self._postgresql else self._json_sqlite)(term)
        return self._elsewhere(term)

    def _elsewhere(self, term: Term) -> Condition:
        """Hold for the devices that another table lists."""
        name = term.field.name
        if name in _TOLD:
            return _listed(select(presence.c.device).where(self._known(term, _TOLD[name])))
        match name:
            case "tags":
                return self._tags(term)
            case "last_seen":
                return _listed(select(activity.c.device).where(self._known(term, activity.c.last_seen)))
            case "messages":
                return self._messages(term)
        if term.operator is Operator.EXISTS:
            return inside(select(group.c.id).where(seen_group(self._view)))
        return below(*map(str, term.values), view=self._view)

    def _tags(self, term: Term) -> Condition:
        tagged = select(tag.c.device).where(tag.c.key == term.field.keys[0])
        if term.operator is not Operator.EXISTS:
            tagged = tagged.where(self._compare(term, tag.c.value))
        return _listed(tagged)

    def _known(self, term: Term, column: Column) -> Condition:
        """Hold where a column that may be null is not, and compares."""
        if term.operator is Operator.EXISTS:
            return column.is_not(None)
        return and_(column.is_not(None), self._compare(term, column))

    def _messages(self, term: Term) -> Condition:
        """Count 0 for devices that have no row."""
        if term.operator is Operator.EXISTS:
            return true()
        compared = self._compare(term, activity.c.messages)
        if any(holds(term.operator, 0, value) for value in term.values):
            return not_(_listed(select(activity.c.device).where(not_(compared))))
        return _listed(select(activity.c.device).where(compared))

    def _compare(self, term: Term, column: Column) -> Condition:
        """Compare a column of the field's kind with the term's values."""
        kind = term.field.kind
        if kind is Kind.TEXT or kind is Kind.JSON:
            return self._text(term.operator, column, [str(value) for value in term.values])
        if kind is Kind.NUMBER:
            return _ordered(term.operator, column, [literal(value, Double) for value in term.values])
        return _ordered(term.operator, column, [literal(value, column.type) for value in term.values])

    def _text(self, operator: Operator, column: Column, values: list[str]) -> Condition:
        if operator is Operator.AMONG:
            return column.in_(values)
        (value,) = values
        given = literal(value, Text)
        match operator:
            case Operator.CONTAINS:
                return (func.strpos if self._postgresql else func.instr)(column, given) > 0
            case Operator.STARTSWITH:
                return func.substr(column, 1, len(value)) == given
            case Operator.ENDSWITH:
                return func.substr(column, func.length(column) - len(value) + 1) == given
        # Texts are ordered by code point, as in SQLite and in Python.
        return _ordered(operator, column.collate("C") if self._postgresql else column, [given])

    def _json(self, term: Term, typed: Callable[[str], Condition], text: Column, number: Column) -> Condition:
        """Compare a JSON value, which `typed` tells the type of, with values of that type."""
        if term.operator is Operator.EXISTS:
            return not_(typed("null"))
        texts = [value for value in term.values if isinstance(value, str)]
        numbers = [value for value in term.values if not isinstance(value, str | bool)]
        parts = [typed("true" if value else "false") for value in term.values if isinstance(value, bool)]
        if texts:
            parts.append(and_(typed("text"), self._text(term.operator, text, texts)))
        if numbers:
            given = [literal(value, Double) for value in numbers]
            parts.append(and_(typed("number"), _ordered(term.operator, number, given)))
        return or_(*parts)

    def _json_sqlite(self, term: Term) -> Condition:
        """Go down by json_each: a path given to json_extract cannot name every key."""
        value: Column = device.c[term.field.name]
        steps = []
        for key in term.field.keys:
            step = func.json_each(value).table_valued("key", "value", "type", joins_implicitly=True)
            steps.append(step.c.key == key)
            value, type_ = case((step.c.type == "object", step.c.value), else_="{}"), step.c.type
            found = step.c.value

        def typed(name: str) -> Condition:
            return type_.in_(("integer", "real")) if name == "number" else type_ == name

        compared = self._json(term, typed, found, cast(found, Double))
        return exists(select(1).where(*steps, compared).correlate(device))

    def _json_postgresql(self, term: Term) -> Condition:
        value: Column = device.c[term.field.name]
        for key in term.field.keys:
            value = value.op("->", return_type=JSON())(bindparam(None, key, Text))
        text = value.op("#>>", return_type=Text())(literal_column("'{}'"))
        type_ = func.json_typeof(value)
        # An integer of more digits than a double can have cannot be cast.
        infinity = case((text.startswith("-"), "-Infinity"), else_="Infinity")
        number = cast(
            case((and_(type_ == "number", func.length(text) > _DIGITS), infinity), (type_ == "number", text)), Double
        )

        def typed(name: str) -> Condition:
            if name in ("true", "false"):
                return and_(type_ == "boolean", text == name)
            return type_ == {"text": "string"}.get(name, name)

        # Where there is no value at all, its type is null.
        if term.operator is Operator.EXISTS:
            return func.coalesce(type_ != "null", false())
        return func.coalesce(self._json(term, typed, text, number), false(), type_=Boolean)


def _listed(devices: Select[tuple[str]]) -> Condition:
    # What the query around it reads from the same table is another row.
    return device.c.id.in_(devices.correlate(None))


def _ordered(operator: Operator, column: Column, values: Sequence[Column]) -> Condition:
    match operator:
        case Operator.GT:
            return column > values[0]
        case Operator.GE:
            return column >= values[0]
        case Operator.LT:
            return column < values[0]
        case Operator.LE:
            return column <= values[0]
    return column.in_(values)

import math
from string import printable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.expressions import MOST_CHARACTERS, MOST_TEXT, Attributes, Change, Expression, FailedError
from contracts.readings import Value

VALUES: dict[str, Value] = {
    "voltage": 230.0,
    "current": 2.0,
    "on": True,
    "mode": "idle",
    "status": 5.0,
    "outdoor.temperature": 31.5,
    "wind speed": 36.0,
    "m": 7.0,
    "int": 8.0,
    "zero": 0.0,
    "energy": 100.0,
    'a"b\\': 1.0,
    "größe": 2.0,
}
CHANGES = {"energy": Change(40.0, 100.0, 60.0), "wind speed": Change(40.0, 36.0, 10.0)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("voltage * current", 460.0),
        ("voltage * 2 + 1", 461.0),
        ("(voltage - 30) * 5 / 10", 100.0),
        ("-voltage - -1", -229.0),
        ("outdoor.temperature > 30", True),
        ("outdoor . temperature", 31.5),
        ('m["wind speed"] / 3.6', 10.0),
        ("m['outdoor.temperature']", 31.5),
        (r"""m["a\"b\\"] + m['gr\u00f6\u00dfe']""", 3.0),
        ("m + 1", 8.0),
        ("int", 8.0),
        ("on ? voltage : 0", 230.0),
        ("!on || mode == 'idle' && voltage != current", True),
        ('mode in ["idle", "off"]', True),
        ("voltage in [110, 230]", True),
        ("size(mode)", 4.0),
        ("double(mode.size()) * 2", 8.0),
        ("mode.startsWith('id') && mode.endsWith('le') && mode.contains('d')", True),
        ("(mode + '-' + mode).size() == 9", True),
        ("mode + ' é\u2028'", "idle é\u2028"),
        ("string(current)", "2"),
        ("int(status) % 2 == 1", True),
        ("int(status / 4) % 0x2", 1.0),
        ("double(string(current))", 2.0),
        ("on ? null : 1", None),
        ("delta(energy)", 60.0),
        ("rate(energy) * 3600", 3600.0),
        ("energy - delta(energy)", 40.0),
        ("delta(m['wind speed'])", 36.0),
        ("rate(m['wind speed'])", 3.6),
        ("voltage\n  * current", 460.0),
        ("voltage / 3", 230.0 / 3),
    ],
)
def test_an_expression_is_cel_over_metrics(text: str, value: Value | None) -> None:
    result = Expression(text).evaluate(VALUES, CHANGES)
    assert result == value
    assert type(result) is type(value)


def test_an_expression_names_what_it_needs() -> None:
    expression = Expression('rate(energy) > 1 ? outdoor.temperature : m["wind speed"] + energy')
    assert expression.metrics == {"energy", "outdoor.temperature", "wind speed"}
    assert expression.counters == {"energy"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("voltage / zero", "no finite number"),
        ("voltage * 1e308 * 1e308", "no finite number"),
        ("int(status) % int(zero)", "modulo by zero"),
        ("mode * 2", "string * float"),
        ("voltage ? 1 : 2", "does not take values of these types"),
        ("size(voltage)", "size does not take a value of this type"),
        ("double(mode)", "invalid float literal"),
        ("int(voltage * 1e300)", "integer overflow"),
        ("[voltage]", "the result is no number, boolean or text"),
    ],
)
def test_what_cannot_be_evaluated_says_why(text: str, says: str) -> None:
    with pytest.raises(FailedError, match=says.replace("*", r"\*")) as failed:
        Expression(text).evaluate(VALUES, CHANGES)
    assert len(str(failed.value)) <= 250


def test_long_texts_take_no_part() -> None:
    assert Expression("mode.size()").evaluate({"mode": "x" * MOST_TEXT}, {}) == MOST_TEXT
    with pytest.raises(FailedError, match="'mode' is text of more than 1024 characters"):
        Expression("mode.size()").evaluate({"mode": "x" * (MOST_TEXT + 1)}, {})
    with pytest.raises(FailedError, match="the result is text of more than 1024 characters"):
        Expression("mode + mode").evaluate({"mode": "x" * MOST_TEXT}, {})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1, column 1: it ends too early"),
        ("voltage *", "line 1, column 10: it ends too early"),
        ("voltage current", "line 1, column 9: extraneous input 'current'"),
        ("voltage +\n  * 3", "line 2, column 3: extraneous input"),
        ("voltage ? 1", "a part is missing"),
        ("(" * 400 + "x" + ")" * 400, "it is nested too deeply"),
        ("1 + 1", "names none"),
        ("größe", "line 1, column 3: 'ö' cannot stand here"),
        ("if + 1", "line 1, column 1: reserved identifier"),
        ("'open", "cannot stand here"),
        (r"mode == '\q'", "line 1, column 9: this text has an escape"),
        ("99999999999999999999 + x", "invalid int literal"),
        ("rate(1)", "line 1, column 6: rate takes the name of one metric"),
        ("delta(a * b)", "delta takes the name of one metric"),
        ("energy.rate()", "no method 'rate'"),
        ("m[mode]", "the name of a metric, in quotes"),
        ("mode[0]", "a value has no parts"),
        ("[1, 2][0] + x", "a value has no parts"),
        ("x + 1 // more", "extraneous input"),
        ("x.", "no method ''"),
        ("x" + "+ x" * 101, "line 1, column 302: an expression has at most 100 signs"),
        ("x" * (MOST_CHARACTERS + 1), "at most 1000 characters; this one has 1001"),
    ],
)
def test_what_is_no_expression_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("*", r"\*")):
        Expression(text)


@pytest.mark.parametrize(
    "text",
    [
        "[x].map(a, a)",
        "[x].filter (a, true)",
        "[x].all(a, [x].all(b, true))",
        "[x] . exists(a, true)",
        "[x].exists_one(a, true)",
        "mode.matches('(a+)+')",
        "matches(mode, 'a')",
        "has(m.x)",
        "type(x)",
        "timestamp(mode)",
        "duration(mode)",
        "dyn(x)",
        "{'a': x}",
        "x{a: 1}",
        "b'x' == x",
        "r'x' == x",
        "mode == '''x'''",
        "x == 1u",
    ],
)
def test_what_may_take_long_or_is_of_no_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        Expression(text)


def test_the_longest_expressions_are_compiled_and_evaluated() -> None:
    for text, value in [
        ("+".join(["x"] * 101), 101.0),
        ("*".join(["x"] * 500), 1.0),
        ("!" * 998 + "on", True),
        ("- " * 498 + "x", 1.0),
        ("on" + "&&on" * 249, True),
        ("mode+" * 100 + "mode", "ab" * 101),
    ]:
        assert len(text) <= MOST_CHARACTERS
        assert Expression(text).evaluate({"x": 1.0, "on": True, "mode": "ab"}, {}) == value


FRIDGE = Attributes("f-1", "fridge", {"site": "north", "max t": "4.5"}, ["cellar", "house"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('t > 4 && profile == "fridge"', True),
        ('t > 4 && device in ["f-2", "f-3"]', False),
        ('t > 4 && tags.site == "north" && tags["site"].startsWith("n")', True),
        ('t > 4 && "cellar" in groups && !("roof" in groups)', True),
        ('t > double(tags["max t"])', True),
        ('t > 4 && tags.room == ""', True),
        ('m["profile"] > 4 && m["device"] > 4 && m["tags.site"] > 4 && m["groups"] > 4', True),
        ("outdoor.profile > 4", True),
    ],
)
def test_a_condition_may_ask_for_attributes_of_the_device(text: str, value: Value) -> None:
    expression = Expression(text, attributes=True)
    assert expression.evaluate(dict.fromkeys(expression.metrics, 5.0), {}, FRIDGE) is value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('profile == "fridge" && tags.site == "x"', "names none"),
        ("t > 1 && tags == 1", "line 1, column 10: a tag is written tags.site"),
        ("t > 1 && tags[site] == 1", "between tags.* stands the name of a tag"),
        ("t > 1 && tags.site.town == 1", "there is no method 'town'"),
        ('t > 1 && groups[0] == "x"', "a value has no parts"),
    ],
)
def test_what_is_no_attribute_says_where_and_why(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Expression(text, attributes=True)


def test_a_computed_metric_has_metrics_of_these_names_in_place_of_attributes() -> None:
    assert Expression("profile + tags.site").metrics == {"profile", "tags.site"}


@given(st.text(st.sampled_from(printable + "é\U0001f600"), max_size=60) | st.text(max_size=30))
def test_any_name_of_a_metric_and_any_text_can_be_written(text: str) -> None:
    escaped = "".join(f"\\U{ord(c):08x}" for c in text if not 0xD800 <= ord(c) < 0xE000)
    plain = "".join(c for c in text if not 0xD800 <= ord(c) < 0xE000)
    expression = Expression(f'm["{escaped}"] == "{escaped}"')
    assert expression.metrics == {plain}
    assert expression.evaluate({plain: plain}, {}) is True


FRAGMENTS = [
    *("x", "on", "mode", "m", "energy", "rate(energy)", 'm["a b"]', "1", "2.5", "0x1f", "'t'", "true", "null", "in"),
    *("(", ")", "[", "]", ",", "?", ":", ".", "+", "-", "*", "/", "%", "==", "<", "&&", "||", "!", " ", "\n"),
    *("size(", ".size()", "map", "all", ".map(x, x)", "int(", "double(", "string(", ".contains('t')"),
]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join) | st.text(max_size=20))
def test_whatever_is_written_is_refused_or_gives_a_value_or_fails(text: str) -> None:
    try:
        expression = Expression(text)
    except ValueError:
        return
    values: dict[str, Value] = {**dict.fromkeys(expression.metrics, 1.0), "on": True, "mode": "t"}
    try:
        result = expression.evaluate(values, {name: Change(1.0, 2.0, 1.0) for name in expression.counters})
    except FailedError:
        return
    assert result is None or type(result) in (float, bool, str)
    assert not isinstance(result, float) or math.isfinite(result)

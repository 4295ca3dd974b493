import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.templates import MISSING, parse

BODY = {"a": {"b": [1.25, {"c d": "7"}]}, "n": None, "word": "low", "on": True, "0": "zero", "big": 10**30}


def value(text: str, body: object = BODY) -> object:
    template = parse(text)
    assert template is not None
    return template.value(body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ value_json.a.b[0] }}", 1.25),
        ("{{value_json['a']['b'][1]['c d']}}", "7"),
        ('{{ value_json["a"].b[ 0 ] }}', 1.25),
        ("{{- value_json.word -}}", "low"),
        ("{{ value_json.a.b[1]['c d'] | float }}", 7.0),
        ("{{ value_json.a.b[0]|int }}", 1.0),
        ("{{ value_json.a.b[0] | round(1) }}", 1.2),
        ("{{ value_json.a.b[0] | float(0) | round(1, 'common') }}", 1.2),
        ("{{ value_json.gone | default('off') }}", "off"),
        ("{{ value_json.gone | default }}", ""),
        ("{{ value_json.n | default(3, true) }}", 3),
        ("{{ value_json.n | default(3) }}", None),
        ("{{ value_json.gone | d(-2.5) }}", -2.5),
        ("{{ value_json.on }}", True),
        ("{{ value_json.a.b[0] | is_defined }}", 1.25),
        ("{{ value_json['0'] }}", "zero"),
        ("{{ value_json }}", BODY),
    ],
)
def test_a_value_is_found(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{{ value_json.gone }}",
        "{{ value_json.gone | is_defined }}",
        "{{ value_json.a.gone.deeper }}",
        "{{ value_json.a.b[2] }}",
        "{{ value_json.word[0] }}",
        "{{ value_json[0] }}",
        "{{ value_json.word | float }}",
        "{{ value_json.word | float(0) }}",
        "{{ value_json.gone | int(default=0) }}",
        "{{ value_json.gone | float(0) | round(1) }}",
        "{{ value_json.big | int }}",
    ],
)
def test_what_is_not_there_is_missing_and_no_zero(text: str) -> None:
    assert value(text) is MISSING


def test_a_plain_payload_is_the_value() -> None:
    assert value("{{ value }}", "12.5") == "12.5"
    assert value("{{ value | float | round(0) }}", " 12.7 ") == 13.0
    assert value("{{ value | int }}", "nan") is MISSING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "value",
        "{{ value_json.a + 1 }}",
        "{{ value_json.a / 10 }}",
        "{{ value_json.a }} W",
        "{% if value_json.a %}1{% endif %}",
        "{{ value_json.a if value_json.a is defined }}",
        "{{ value_json.a() }}",
        "{{ value_json.__class__ | attr('x') }}",
        "{{ states('sensor.x') }}",
        "{{ value.split(',')[0] }}",
        "{{ value[0] }}",
        "{{ value_json.a | upper }}",
        "{{ value_json.a | floaty }}",
        "{{ value_json[a] }}",
        "{{ values }}",
        "{{ value_json.a | default(range(1000000000)) }}",
        "{{ value_json.a }}{{ value_json.b }}",
        "{{ value_json" + ".a" * 600 + " }}",
    ],
)
def test_anything_more_is_not_taken(text: str) -> None:
    assert parse(text) is None


@given(st.text(alphabet="{}[]().|'\" -01avluejson_fti,=\\", max_size=40).map("{{{{ value_json{} }}}}".format))
def test_any_text_is_taken_or_not(text: str) -> None:
    template = parse(text)
    if template is not None:
        template.value(BODY)

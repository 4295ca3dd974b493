from pathlib import Path

import pytest

from contracts.deadletters import Reason
from ingest import formats, table
from ingest.limits import Limits
from ingest.outcomes import Arrival
from ingest.routes import Route, Routes
from ingest.table import TableError
from tests.unit.ingest.decoding import refused


def rows(tmp_path: Path, text: str) -> list[table.Row]:
    path = tmp_path / "routes.toml"
    path.write_text(text)
    return table.read(path)


def route(tmp_path: Path, text: str, topic: str, **properties: str) -> Route:
    found = Routes(rows(tmp_path, text), 5).of(Arrival(topic, b"", 0, properties=properties))
    assert found is not None
    return found


def test_the_built_in_routes_are_in_order_and_their_decoders_are_there() -> None:
    found = table.built_in()
    assert len({row.name for row in found}) == len(found)
    for row in found:
        formats.load(row.decoder)
        formats.options(row.decoder, row.options)
        for text in row.filters:
            assert row.enabled is False or not text.startswith(("+", "#")), f"{row.name}: a wide filter is off"


def test_an_operators_rows_come_first_and_the_most_specific_filter_wins(tmp_path: Path) -> None:
    text = """
[[route]]
name = "yard"
filters = ["yard/#"]
device = "{2}"

[[route]]
name = "yard-scale"
filters = ["yard/+/weight"]
decoder = "value"
device = "{2}-scale"
zone = "Europe/Lisbon"
ahead_seconds = 1
"""
    found = route(tmp_path, text, "yard/gate/weight")
    assert (found.name, found.decoder, found.device, found.base) == ("yard-scale", "value", "gate-scale", 1)
    assert found.zone is not None
    assert (found.zone.key, found.ahead) == ("Europe/Lisbon", 1_000_000_000)
    assert route(tmp_path, text, "yard/gate/other").name == "yard"
    assert route(tmp_path, text, "devices/d/telemetry").name == "devices"


def test_a_row_with_a_built_in_name_changes_what_it_names(tmp_path: Path) -> None:
    found = rows(tmp_path, '[[route]]\nname = "devices-status"\nzone = "Asia/Tokyo"\n')
    [row] = [row for row in found if row.name == "devices-status"]
    assert (row.zone, row.decoder, row.filters) == ("Asia/Tokyo", "status", ["devices/+/status"])
    assert len(found) == len(table.built_in())


def test_a_row_that_is_off_takes_nothing(tmp_path: Path) -> None:
    off = Routes(rows(tmp_path, '[[route]]\nname = "devices-status"\nenabled = false\n'), 5)
    assert off.of(Arrival("devices/d/status", b"", 0)) is None
    assert "devices/+/status" not in off.filters


def test_auto_takes_the_decoder_of_the_built_in_route_whose_shape_the_topic_has(tmp_path: Path) -> None:
    text = '[[route]]\nname = "all"\nfilters = ["devices/#"]\n'
    found = route(tmp_path, text, "devices/d/status")
    assert (found.name, found.decoder, found.device) == ("devices-status", "status", "d")
    all_of_them = text + '[[route]]\nname = "devices-status"\nenabled = false\n'
    found = route(tmp_path, all_of_them, "devices/d/status")
    assert (found.name, found.decoder, found.device) == ("all", "status", "d")


def test_a_device_that_a_property_names_is_told_apart_message_by_message(tmp_path: Path) -> None:
    text = '[[route]]\nname = "me"\nfilters = ["me/up"]\ndecoder = "json"\ndevice = "{property:client}"\n'
    routes = Routes(rows(tmp_path, text), 5)
    for client in ("a", "b", ""):
        found = routes.of(Arrival("me/up", b"", 0, properties={"client": client}))
        assert found is not None
        assert (found.device, found.problem) == (client, None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("route = 5", "only [[route]]"),
        ("[other]\n", "only [[route]]"),
        ("[[route", "is not TOML"),
        ('[[route]]\nname = "x"\n', "one or more filters, and no built-in one is named 'x'"),
        ('[[route]]\nfilters = ["a"]\n', "route 1 (without name)"),
        ('[[route]]\nname = "x"\nfilters = ["a/#/b"]\n', "'a/#/b' has a #"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\ndecoder = "tasmoda"\n', "there is no decoder 'tasmoda'"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\ndevice = "{x}"\n', "{x} is neither"),
        ('[[route]]\nname = "x"\nfilters = ["a/+"]\ndevice = "{1}-{3}"\n', "more levels than the filter 'a/+' has"),
        ('[[route]]\nname = "x"\nfilters = ["a/+"]\ndevice = "{-3}"\n', "more levels than the filter 'a/+' has"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\nzone = "Mars/Base"\n', "no time zone 'Mars/Base'"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\nfilter = "a"\n', "filter"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\nahead_seconds = -1\n', "ahead_seconds"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\npayload_bytes = 0\n', "payload_bytes"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\npayload_bytes = 4194305\n', "4194304"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\n[route.options]\nnone = 1\n', "none"),
        ('[[route]]\nname = "x"\nfilters = ["a"]\n[[route]]\nname = "x"\nfilters = ["b"]\n', "more than one route"),
    ],
)
def test_a_table_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(TableError) as error:
        rows(tmp_path, text)
    assert words in str(error.value)
    assert str(tmp_path / "routes.toml") in str(error.value)


def test_a_table_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        table.read(tmp_path / "none.toml")


def test_a_route_may_allow_larger_payloads_than_the_setting_or_only_smaller_ones(tmp_path: Path) -> None:
    text = '[[route]]\nname = "x"\nfilters = ["a"]\npayload_bytes = %d\n'
    message = Arrival("a", b"x" * 100, 0)
    refusal = route(tmp_path, text % 99, "a").refusal(message, Limits())
    assert refusal is not None
    refused(refusal, Reason.TOO_LARGE, "the payload is 100 bytes long; 99 are allowed")
    assert route(tmp_path, text % 100, "a").refusal(message, Limits(payload_bytes=99)) is None


def test_the_fewest_filters_are_subscribed_to(tmp_path: Path) -> None:
    found = Routes(rows(tmp_path, '[[route]]\nname = "all"\nfilters = ["devices/#"]\n'), 5).filters
    assert "devices/#" in found
    assert "devices/+/telemetry" not in found


def test_filters_whose_decoders_need_order_are_told_from_the_others(tmp_path: Path) -> None:
    text = '[[route]]\nname = "any"\nfilters = ["site/+/any", "plant/#"]\n'
    text += '[[route]]\nname = "homie"\nfilters = ["house/#"]\n'
    found = Routes(rows(tmp_path, text), 5)
    assert {"spBv1.0/#", "house/#"} <= set(found.ordered)
    assert {"devices/+/telemetry", "site/+/any", "plant/#"} <= set(found.others)
    assert sorted(found.ordered + found.others) == sorted(found.filters)


def test_a_filter_of_auto_needs_order_where_a_shape_that_does_may_come(tmp_path: Path) -> None:
    found = Routes(rows(tmp_path, '[[route]]\nname = "all"\nfilters = ["#"]\n'), 5)
    assert (found.ordered, found.others) == (["#"], ["$aws/things/+/shadow/#"])

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from contracts.deadletters import Reason
from contracts.devices import Calibration, DeviceRecord, Metric, encode_record
from deploy.local.cli import app
from ingest import filters, table
from ingest.admit import Admission
from ingest.context import Context
from ingest.cycle import Outgoing
from ingest.descriptions import Descriptions
from ingest.explain import Explainer, Explanation
from ingest.limits import Limits
from ingest.metrics import Metrics
from ingest.outcomes import Arrival, Ignored, Outcome
from ingest.parts import Parts
from ingest.patience import Patience
from ingest.pipeline import Pipeline
from ingest.rates import RateLimits
from ingest.routes import Routes
from ingest.show import lines, outcome
from ingest.table import Row

NOW = 1_767_225_700_000_000_000
RECORDS = {
    "kiln": DeviceRecord(
        1,
        "kiln",
        enabled=True,
        profile="p",
        keep_raw=True,
        metrics={
            "t": Metric(unit="degC", max=900, calibration=[Calibration(offset=1.5)]),
            "door": Metric(type="boolean"),
        },
    ),
    "off": DeviceRecord(1, "off", enabled=False, profile=""),
    "fast": DeviceRecord(1, "fast", enabled=True, profile="", point_rate="2:1"),
}
MESSAGES = [
    ("devices/kiln/telemetry", b'{"t": 20}'),
    ("devices/kiln/telemetry", b'{"t": 950, "door": "maybe"}'),
    ("devices/kiln/telemetry", b'{"t": 20, "door": "maybe", "n": NaN}'),
    ("devices/kiln/telemetry", b"{"),
    ("devices/kiln/telemetry", b""),
    ("devices/kiln/telemetry", b'{"t": null}'),
    ("devices/kiln/telemetry", b'{"t": "' + b"x" * 3_000 + b'"}'),
    ("devices/kiln/telemetry/t", b"30"),
    ("devices/kiln/status", b"online"),
    ("devices/stranger/status", b"online"),
    ("devices/stranger/telemetry", b'{"t": 1}'),
    ("devices/off/telemetry", b'{"t": 1}'),
    ("devices/fast/telemetry", b'{"a": 1, "b": 2, "c": 3}'),
    ("devices//telemetry", b'{"t": 1}'),
    ("some/where/else", b"1"),
]


def admission() -> Admission:
    return Admission(RECORDS.get, RateLimits(), register=False)


def explainer(rows: Sequence[Row] = ()) -> Explainer:
    every = [*rows, *table.built_in()]
    return Explainer(
        every, Routes(every, 0), Context(Limits(payload_bytes=2_000), RECORDS.get), admission(), Patience(1)
    )


async def counted(topic: str, payload: bytes) -> tuple[str, str]:
    """Let ingest itself take a message, and tell what it counts it under."""
    admit, metrics, written = admission(), Metrics(), []
    context = Context(Limits(payload_bytes=2_000), RECORDS.get)
    parts = Parts(admit, Descriptions(lambda _: False), lambda *_: None, lambda *_: None)
    pipeline = Pipeline(
        Routes(table.built_in(), 0), context, admit, parts, Patience(1), metrics, window=64, linger=0, batch_readings=9
    )

    async def write(outgoing: list[Outgoing]) -> None:
        written.append(outgoing)

    class Done(Exception):  # noqa: N818 - it is no error
        pass

    async def acknowledge(_: list[object]) -> None:
        raise Done

    pipeline.take(Arrival(topic, payload, NOW), None)
    with pytest.raises(Done):
        await pipeline.run(write, acknowledge)
    [found] = [
        sample.labels
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "ingest_messages_total" and sample.value
    ]
    return found["outcome"], found["reason"]


@pytest.mark.parametrize(("topic", "payload"), MESSAGES)
async def test_it_tells_what_ingest_counts(topic: str, payload: bytes) -> None:
    explained = explainer().explain(Arrival(topic, payload, NOW))
    assert (explained.outcome, explained.reason) == await counted(topic, payload)
    assert explained.whole == (explained.outcome == "ignored" or explained.reason == "")


def told(explained: Explanation, rows: Sequence[Row] = ()) -> str:
    return "\n".join(lines(explained, [*rows, *table.built_in()]))


def test_a_profile_is_shown_with_what_was_sent_and_what_is_stored() -> None:
    explained = explainer().explain(Arrival("devices/kiln/telemetry", b'{"t": 20, "door": "ON", "x": 1}', NOW))
    assert told(explained).splitlines() == [
        "topic     devices/kiln/telemetry",
        "payload   31 bytes, received 2026-01-01T00:01:40Z",
        "route     devices, by devices/+/telemetry; decoder auto; the device is kiln",
        "reading   kiln at 2026-01-01T00:01:40Z (when it was received)",
        "          metric  stored  unit  sent",
        "          t       21.5    degC  20",
        '          door    true          "ON"',
        "          x       1",
        "          t.raw   20",
        "outcome   stored",
    ]


def test_a_time_of_its_own_and_a_wrong_one_are_told_apart() -> None:
    good = told(explainer().explain(Arrival("devices/a/telemetry", b'{"ts": 1767225600250, "a": 1}', NOW)))
    assert "a at 2026-01-01T00:00:00.25Z (its own time)" in good
    wrong = told(explainer().explain(Arrival("devices/a/telemetry", b'{"ts": 7, "a": 1}', NOW)))
    assert "(when it was received; clock 7)" in wrong


def test_what_is_wrong_is_named_with_its_reason() -> None:
    explained = explainer().explain(Arrival("devices/kiln/telemetry", b'{"t": 950, "n": NaN, "z": null}', NOW))
    text = told(explained)
    assert "problem   bad_value: 'n' is NaN, which is no number" in text
    assert "problem   out_of_range: 't' is 951.5 degC (sent as 950); 900 or less is allowed" in text
    assert "left out  1 x no_value" in text
    assert text.endswith("outcome   rejected: bad_value")


def test_who_may_not_send_is_named() -> None:
    assert "refused   off: device_disabled: " in told(
        explainer().explain(Arrival("devices/off/telemetry", b'{"t": 1}', NOW))
    )
    limited = explainer().explain(Arrival("devices/fast/telemetry", b'{"a": 1, "b": 2, "c": 3}', NOW))
    assert (limited.refused, [stored for _, stored in limited.stored]) == ({"fast": Reason.RATE_LIMITED}, [None])


def test_a_topic_without_a_route_hears_which_are_near_and_what_to_write() -> None:
    text = told(explainer().explain(Arrival("device/a/telemetry", b"{}", NOW)))
    assert "near it: devices/+/telemetry of devices" in text
    assert "near it: +" not in text
    assert 'filters = ["device/+/telemetry"]\n            device = "{2}"' in text


@pytest.mark.parametrize("topic", ["lone", "two/levels", "three/levels/", '/odd/"quoted"\\topic'])
def test_what_it_says_to_write_is_a_table_that_takes_the_topic(tmp_path: Path, topic: str) -> None:
    text = told(explainer().explain(Arrival(topic, b"{}", NOW)))
    path = tmp_path / "routes.toml"
    path.write_text(text[text.index("[[route]]") : text.index("outcome")])
    [row] = [row for row in table.read(path) if row.name == "mine"]
    assert any(filters.matches(text.split("/"), topic.split("/")) for text in row.filters)


@pytest.mark.parametrize("topic", ["plant/hall/7", "oven/x7/data"])
def test_a_filter_that_has_only_its_wildcards_in_common_is_not_near(topic: str) -> None:
    assert "near it" not in told(explainer(table.built_in()).explain(Arrival(topic, b"{}", NOW)), table.built_in())


def test_a_topic_with_a_level_too_many_is_near() -> None:
    text = told(explainer().explain(Arrival("/devices/a/telemetry", b"{}", NOW)))
    assert "near it: devices/+/telemetry of devices" in text


def test_nothing_is_suggested_for_the_topic_on_which_devices_are_told() -> None:
    text = told(explainer().explain(Arrival("devices/a/errors", b"{}", NOW)))
    assert "here devices are told something" in text
    assert "[[route]]" not in text


def test_a_route_that_is_off_is_named() -> None:
    rows = [Row("kilns", ["site/+/kiln"], "json", enabled=False)]
    text = told(explainer(rows).explain(Arrival("site/7/kiln", b"{}", NOW)), rows)
    assert "kilns would (decoder json), but is off" in text
    assert 'name = "kilns"\n            enabled = true' in text


def test_what_a_terminal_would_obey_is_escaped() -> None:
    payload = json.dumps({"a\x1b[2J": "b\x07"}).encode()
    text = told(explainer().explain(Arrival("devices/a\x1b/telemetry", payload, NOW)))
    assert not {"\x1b", "\x07"} & set(text)


def test_an_exception_in_a_decoder_is_told_as_ingest_would_keep_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    built = explainer()
    route = built._routes.of(Arrival("devices/a/telemetry", b"", NOW))  # noqa: SLF001 - to break it
    assert route is not None
    monkeypatch.setattr(type(route), "decode", property(lambda _: fail))
    explained = built.explain(Arrival("devices/a/telemetry", b"1", NOW))
    assert (explained.outcome, explained.reason) == ("rejected", "unexpected")


@pytest.mark.parametrize("why", Ignored)
def test_why_a_message_is_ignored_is_said_in_words(why: Ignored) -> None:
    said = outcome(Explanation(Arrival("t", b"", NOW), Outcome.IGNORED, why))
    assert re.fullmatch(rf"ignored: {why} \(.+\)", said)


def run(*words: str, given: bytes = b"") -> Result:
    return CliRunner().invoke(app, ["decode", *words], input=given)


def found(*words: str, given: bytes = b"") -> dict[str, Any]:
    result = run(*words, "--json", given=given)
    [line] = result.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


def test_the_command_reads_a_file_or_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "payload"
    path.write_bytes(b'{"a": 1}')
    for words, given in ((str(path), b""), ("-", b'{"a": 1}')):
        answer = found("--topic", "devices/d/telemetry", "--at", "2026-01-01T00:00:00Z", words, given=given)
        assert answer["outcome"] == "stored"
        [reading] = answer["readings"]
        assert (reading["device"], reading["time"]) == ("d", "2026-01-01T00:00:00Z")
        assert reading["values"] == [{"metric": "a", "value": 1.0, "unit": "", "sent": 1.0, "sent_unit": ""}]


def test_hex_stands_for_bytes() -> None:
    assert found("--topic", "devices/d/telemetry", "--hex", "-", given=b"7b22 6122 3a31\n7d")["bytes"] == 7


def test_the_status_says_whether_anything_was_rejected(tmp_path: Path) -> None:
    topic = ("--topic", "devices/d/telemetry", "-")
    assert run(*topic, given=b'{"a": 1}').exit_code == 0
    assert run(*topic, given=b"").exit_code == 0
    assert run(*topic, given=b'{"a": 1, "b": NaN}').exit_code == 1
    assert run(*topic, given=b"{").exit_code == 1
    record = tmp_path / "record"
    record.write_bytes(encode_record(RECORDS["kiln"]))
    assert run(*topic, "--record", str(record), given=b'{"a": 1}').exit_code == 1, "it is not registered"


def test_retained_and_properties_are_passed_on() -> None:
    answer = found("--topic", "devices/d/telemetry", "--retained", "-", given=b'{"a": 1}')
    assert (answer["outcome"], answer["reason"]) == ("ignored", "retained_untimed")
    text = run("--topic", "devices/d/telemetry", "--property", "content-type=x/y", "-", given=b'{"a": 1}').stdout
    assert "(content-type=x/y)" in text


def test_messages_that_came_before_are_taken_first(tmp_path: Path) -> None:
    path = tmp_path / "status"
    path.write_bytes(b"online")
    answer = found("--topic", "devices/d/telemetry", "--before", f"devices/d/status={path}", "-", given=b'{"a": 1}')
    assert answer["before"] == [{"topic": "devices/d/status", "outcome": "ignored", "reason": "presence"}]


def test_a_routing_table_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "routes.toml"
    path.write_text('[[route]]\nname = "mine"\nfilters = ["site/+/x"]\ndevice = "{2}"\n')
    answer = found("--topic", "site/7/x", "--routes", str(path), "-", given=b'{"a": 1}')
    assert answer["route"] == {"name": "mine", "filter": "site/+/x", "decoder": "auto", "device": "7"}
    assert found("--topic", "site/7/x", "-", given=b"1")["route"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--topic", "a/b", "/nowhere/at/all"], "'/nowhere/at/all' cannot be read: No such file"),
        (["--topic", "a/+", "-"], "'a/+' is a filter"),
        (["--topic", "", "-"], "a topic is 1 to 65535 bytes"),
        (["--topic", "a", "--at", "soon", "-"], "--at: "),
        (["--topic", "a", "--at", "12", "-"], "--at: '12' is not between the years"),
        (["--topic", "a", "--property", "x", "-"], "--property 'x' is not NAME=VALUE"),
        (["--topic", "a", "--before", "x", "-"], "--before 'x' is not TOPIC=FILE"),
        (["--topic", "a", "--record", "/nowhere", "-"], "--record '/nowhere' cannot be read"),
        (["--topic", "a", "--record", "/dev/null", "-"], "--record '/dev/null' is no DeviceRecord"),
        (["--topic", "a", "--routes", "/nowhere", "-"], "the routing table: /nowhere cannot be read"),
        (["--topic", "a", "--hex", "-"], "'-' is not hex"),
        (["--topic", "a"], "Missing argument"),
    ],
)
def test_a_command_that_is_wrong_says_what(words: list[str], said: str) -> None:
    result = run(*words, given=b"zz")
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_topic_that_a_message_before_announced_is_taken() -> None:
    usual = explainer()
    config = b'{"stat_t": "mill/oil", "dev": {"ids": ["kiln"]}}'
    usual.explain(Arrival("homeassistant/sensor/mill/oil/config", config, NOW))
    found = usual.explain(Arrival("mill/oil", b"61.5", NOW))
    assert (str(found.outcome), found.filter) == ("stored", "mill/oil")
    assert [reading.values for reading, _ in found.stored] == [{"oil": 61.5}]

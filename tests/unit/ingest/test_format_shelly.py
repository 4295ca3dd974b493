import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading
from ingest.findings import HEALTH
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

USUAL = Ingest()
DEVICE = "shellyplus2pm-a1b2c3d4e5f6"
SECOND = 1_000_000_000
AT = 1_767_225_655_250_000_000
MINUTE = 1_767_225_600


def frame(params: object, method: str = "NotifyStatus", *, ingest: Ingest = USUAL, retained: bool = False) -> Decoded:
    body = {"src": DEVICE, "dst": f"{DEVICE}/events", "method": method, "params": params}
    return ingest.decode(f"{DEVICE}/events/rpc", json.dumps(body), retained=retained)


def status(component: str, body: object, *, ingest: Ingest = USUAL, retained: bool = False) -> Decoded:
    return ingest.decode(f"{DEVICE}/status/{component}", json.dumps(body), retained=retained)


def bound(topic: str, payload: str, *, filter_: str, device: str = "", **options: object) -> Decoded:
    return Ingest([Row("mine", [filter_], "shelly", device, options=options)]).decode(topic, payload)


class TestFrames:
    @pytest.mark.parametrize("method", ["NotifyStatus", "NotifyFullStatus"])
    def test_a_notification_is_a_reading_at_its_own_time(self, method: str) -> None:
        decoded = frame({"ts": 1767225655.25, "switch:1": {"id": 1, "apower": 41.5, "output": True}}, method)
        assert only(decoded) == Reading(DEVICE, AT, NOW, {"switch:1.apower": 41.5, "switch:1.output": True})
        assert decoded.units == {DEVICE: {"switch:1.apower": "W"}}

    def test_only_what_is_there_is_stored(self) -> None:
        ingest = Ingest()
        frame({"ts": 1767225650, "switch:0": {"id": 0, "apower": 41.5, "voltage": 231}}, ingest=ingest)
        decoded = frame({"ts": 1767225651, "switch:0": {"id": 0, "output": False}}, ingest=ingest)
        assert only(decoded).values == {"switch:0.output": False}

    def test_every_component_keeps_its_name(self) -> None:
        decoded = frame(
            {"ts": 1767225655.25, "switch:0": {"id": 0, "apower": 1}, "temperature:100": {"id": 100, "tC": 2.5}}
        )
        assert only(decoded).values == {"switch:0.apower": 1.0, "temperature:100.tC": 2.5}

    @pytest.mark.parametrize("stated", [None, 12.5, 0])
    def test_before_the_clock_is_set_the_time_is_that_of_arrival(self, stated: float | None) -> None:
        reading = only(frame({"ts": stated, "switch:0": {"apower": 1}}))
        assert (reading.ts, list(reading.flags)) == (NOW, [] if stated is None else ["clock"])

    def test_the_device_is_the_source_and_not_the_prefix(self) -> None:
        payload = json.dumps({"src": DEVICE, "method": "NotifyStatus", "params": {"switch:0": {"apower": 1}}})
        assert only(USUAL.decode("cellar/events/rpc", payload)).device == DEVICE

    def test_unless_the_route_names_it_or_there_is_no_source(self) -> None:
        body = {"src": DEVICE, "method": "NotifyStatus", "params": {"switch:0": {"apower": 1}}}
        decoded = bound("cellar/events/rpc", json.dumps(body), filter_="+/events/rpc", device="{1}")
        assert only(decoded).device == "cellar"
        assert only(USUAL.decode("cellar/events/rpc", json.dumps(body | {"src": ""}))).device == "cellar"

    def test_a_component_that_is_gone_has_no_value(self) -> None:
        decoded = frame({"ts": 1767225655.25, "number:200": None, "switch:0": {"apower": 1}})
        assert only(decoded).values == {"switch:0.apower": 1.0}
        assert decoded.left_out == {Ignored.NO_VALUE: 1}

    @pytest.mark.parametrize("name", ["last_updated_ts", "last_update_ts"])
    def test_what_was_heard_before_has_the_time_at_which_it_was(self, name: str) -> None:
        heard = {"id": 200, "value": 4.5, name: 1767225000}
        decoded = frame({"ts": 1767225655.25, "bthomesensor:200": heard, "switch:0": {"apower": 1}}, "NotifyFullStatus")
        assert [(reading.ts, reading.values) for reading in decoded.readings] == [
            (1_767_225_000 * SECOND, {"bthomesensor:200.value": 4.5}),
            (AT, {"switch:0.apower": 1.0}),
        ]

    def test_where_nothing_was_heard_yet_that_time_is_the_frame_s(self) -> None:
        reading = only(frame({"ts": 1767225655.25, "number:200": {"value": 3, "last_update_ts": 0}}))
        assert (reading.ts, reading.values, reading.flags) == (AT, {"number:200.value": 3.0}, {})

    def test_a_bad_component_is_rejected_alone(self) -> None:
        decoded = frame({"ts": 1767225655.25, "switch:0": 5, "switch:1": {"apower": 1}})
        assert [r.values for r in decoded.readings] == [{"switch:1.apower": 1.0}]
        refused(decoded, Reason.MALFORMED, "'switch:0' is a number")

    def test_a_bad_time_or_no_params_reject_the_frame(self) -> None:
        refused(frame({"ts": "noon", "switch:0": {"apower": 1}}), Reason.BAD_TIME)
        refused(frame([1]), Reason.MALFORMED, "params is an array")
        refused(frame(None), Reason.MALFORMED, "params is null")

    @pytest.mark.parametrize("method", [[], {}, None, 5])
    def test_a_method_that_is_no_text_is_none(self, method: object) -> None:
        payload = json.dumps({"src": DEVICE, "method": method, "params": {}})
        assert USUAL.decode(f"{DEVICE}/events/rpc", payload).ignored is Ignored.COMMAND

    def test_events_and_replies_are_ignored(self) -> None:
        event = {"ts": 1767225655.25, "events": [{"component": "input:0", "event": "single_push"}]}
        assert frame(event, "NotifyEvent").ignored is Ignored.EVENT
        reply = '{"id": 7, "src": "x", "result": {"switch:0": {"apower": 1}}}'
        assert USUAL.decode(f"{DEVICE}/events/rpc", reply).ignored is Ignored.COMMAND
        assert USUAL.decode(f"{DEVICE}/events/rpc", "").ignored is Ignored.EMPTY


class TestStatus:
    def test_a_component_has_a_topic_of_its_own_without_a_time(self) -> None:
        decoded = status("cover:0", {"id": 0, "current_pos": 70, "apower": 3, "temperature": {"tC": 41.5, "tF": 106.7}})
        assert only(decoded) == Reading(
            DEVICE,
            NOW,
            NOW,
            {"cover:0.current_pos": 70.0, "cover:0.apower": 3.0, "cover:0.temperature.tC": 41.5},
        )
        assert decoded.units == {DEVICE: {"cover:0.apower": "W", "cover:0.temperature.tC": "degC"}}

    def test_units_are_those_of_the_fields(self) -> None:
        decoded = status(
            "switch:0",
            {
                "voltage": 230.9,
                "current": 0.4,
                "freq": 50,
                "pf": 0.98,
                "aenergy": {"total": 9120.5},
                "ret_aenergy": {"total": 0},
            },
        )
        assert decoded.units == {
            DEVICE: {
                "switch:0.voltage": "V",
                "switch:0.current": "A",
                "switch:0.freq": "Hz",
                "switch:0.aenergy.total": "Wh",
                "switch:0.ret_aenergy.total": "Wh",
            }
        }
        assert status("humidity:0", {"id": 0, "rh": 55}).units == {DEVICE: {"humidity:0.rh": "%"}}
        assert status("em:0", {"a_act_power": 5, "total_current": 1}).units == {
            DEVICE: {"em:0.a_act_power": "W", "em:0.total_current": "A"}
        }

    def test_a_temperature_in_degf_alone_is_kept(self) -> None:
        decoded = status("temperature:0", {"id": 0, "tF": 68.5})
        assert (only(decoded).values, decoded.units) == (
            {"temperature:0.tF": 68.5},
            {DEVICE: {"temperature:0.tF": "degF"}},
        )

    def test_energy_by_minute_is_that_of_past_minutes(self) -> None:
        energy = {"total": 12.5, "by_minute": [310.5, 300, None], "minute_ts": MINUTE}
        decoded = status("switch:0", {"id": 0, "aenergy": energy})
        assert [(r.ts, r.values) for r in decoded.readings] == [
            (NOW, {"switch:0.aenergy.total": 12.5}),
            ((MINUTE - 60) * SECOND, {"switch:0.aenergy.by_minute": 310.5}),
            ((MINUTE - 120) * SECOND, {"switch:0.aenergy.by_minute": 300.0}),
        ]
        assert decoded.units == {DEVICE: {"switch:0.aenergy.total": "Wh", "switch:0.aenergy.by_minute": "mWh"}}

    @pytest.mark.parametrize("stated", [MINUTE, MINUTE + 1, MINUTE + 59])
    def test_a_minute_is_told_again_at_the_same_time_where_the_firmware_says_what_time_it_is(self, stated: int) -> None:
        decoded = status("switch:0", {"aenergy": {"by_minute": [310.5], "minute_ts": stated}})
        assert only(decoded).ts == (MINUTE - 60) * SECOND

    @pytest.mark.parametrize("stated", [None, 40, "x", 10**40])
    def test_minutes_of_which_nobody_knows_when_they_were_are_left_out(self, stated: object) -> None:
        decoded = status("switch:0", {"apower": 1, "aenergy": {"by_minute": [310.5], "minute_ts": stated}})
        assert [r.values for r in decoded.readings] == [{"switch:0.apower": 1.0}]

    def test_what_is_counted_in_a_minute_is_no_energy(self) -> None:
        counts = {"total": 9, "xtotal": 4.5, "by_minute": [2], "xby_minute": [1], "minute_ts": MINUTE}
        decoded = status("input:0", {"id": 0, "counts": counts})
        assert [(reading.ts, reading.values) for reading in decoded.readings] == [
            (NOW, {"input:0.counts.total": 9.0, "input:0.counts.xtotal": 4.5}),
            ((MINUTE - 60) * SECOND, {"input:0.counts.by_minute": 2.0, "input:0.counts.xby_minute": 1.0}),
        ]
        assert decoded.units is None

    def test_errors_are_bad_quality_of_their_component_alone(self) -> None:
        decoded = frame(
            {
                "ts": 1767225655.25,
                "switch:0": {"apower": None, "output": False, "errors": ["overtemp"]},
                "switch:1": {"apower": 1, "errors": []},
            }
        )
        assert [(r.values, r.flags) for r in decoded.readings] == [
            ({"switch:0.output": False, "switch:0.errors.1": "overtemp"}, {"quality": "bad"}),
            ({"switch:1.apower": 1.0}, {}),
        ]

    @pytest.mark.parametrize("component", ["sys", "wifi", "cloud", "mqtt", "devicepower:0"])
    def test_what_a_device_says_of_itself_is_health(self, component: str) -> None:
        assert only(status(component, {"x": 1})).flags == HEALTH

    def test_its_clock_is_no_metric_and_its_address_a_fact(self) -> None:
        decoded = status("sys", {"mac": "A1B2C3D4E5F6", "unixtime": 1767225655, "time": "01:00", "uptime": 77})
        assert only(decoded).values == {"sys.uptime": 77.0}
        assert decoded.facts == {DEVICE: {"mac": "A1:B2:C3:D4:E5:F6"}}

    def test_retained_it_has_no_time(self) -> None:
        assert status("switch:0", {"apower": 1}, retained=True).ignored is Ignored.RETAINED_UNTIMED
        assert only(frame({"ts": 1767225655.25, "switch:0": {"apower": 1}}, retained=True)).ts == AT

    @pytest.mark.parametrize("payload", ["[]", "5", "{", "on"])
    def test_what_is_no_object_is_malformed(self, payload: str) -> None:
        refused(USUAL.decode(f"{DEVICE}/status/switch:0", payload), Reason.MALFORMED)


class TestTopics:
    @pytest.mark.parametrize(("payload", "online"), [("true", True), ("false", False)])
    def test_it_says_whether_it_is_there(self, payload: str, *, online: bool) -> None:
        decoded = USUAL.decode(f"{DEVICE}/online", payload, retained=True)
        assert [(state.device, state.online, state.at) for state in decoded.states] == [(DEVICE, online, NOW)]
        assert decoded.ignored is Ignored.PRESENCE

    def test_other_words_are_malformed(self) -> None:
        refused(USUAL.decode(f"{DEVICE}/online", "yes"), Reason.MALFORMED, "online")
        assert USUAL.decode(f"{DEVICE}/online", "").ignored is Ignored.EMPTY

    @pytest.mark.parametrize(
        ("topic", "filter_", "device"),
        [
            ("house/cellar/status/switch:0", "house/#", "cellar"),
            ("house/cellar/pump/status/switch:0", "house/#", "cellar%2Fpump"),
            ("house/cellar/status/switch:0", "house/cellar/status/switch:0", "house%2Fcellar"),
            ("house/cellar/status/switch:0", "+/+/status/+", "house%2Fcellar"),
        ],
    )
    def test_a_prefix_may_have_several_levels(self, topic: str, filter_: str, device: str) -> None:
        assert only(bound(topic, '{"apower": 1}', filter_=filter_)).device == device

    @pytest.mark.parametrize(
        ("topic", "why"),
        [
            ("house/cellar/rpc", Ignored.COMMAND),
            ("house/cellar/command", Ignored.COMMAND),
            ("house/cellar/command/switch:0", Ignored.COMMAND),
            ("house/cellar/debug/log", Ignored.UNSUPPORTED),
            ("house", Ignored.UNSUPPORTED),
        ],
    )
    def test_other_topics_are_ignored(self, topic: str, why: Ignored) -> None:
        assert bound(topic, '{"method": "Switch.Set"}', filter_="house/#").ignored is why

    def test_a_topic_without_prefix_names_no_device(self) -> None:
        refused(bound("/online", "true", filter_="+/online"), Reason.BAD_DEVICE)

    def test_of_two_kinds_of_notifications_an_operator_chooses_one(self) -> None:
        rpc = json.dumps({"src": DEVICE, "method": "NotifyStatus", "params": {"switch:0": {"apower": 1}}})
        topics = {f"{DEVICE}/events/rpc": rpc, f"{DEVICE}/status/switch:0": '{"apower": 1}'}
        taken = {
            read: [bound(topic, payload, filter_=f"{DEVICE}/#", read=read).ignored for topic, payload in topics.items()]
            for read in ("both", "rpc", "status")
        }
        assert taken == {"both": [None, None], "rpc": [None, Ignored.REPEAT], "status": [Ignored.REPEAT, None]}


@given(st.dictionaries(st.sampled_from(["apower", "voltage", "pf", "output"]), st.floats(-1e9, 1e9), min_size=1))
def test_both_kinds_of_notifications_say_the_same(fields: dict[str, float]) -> None:
    assert only(frame({"switch:0": {"id": 0, **fields}})) == only(status("switch:0", {"id": 0, **fields}))

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deadletters import Reason
from contracts.readings import Reading, Value
from ingest.formats.line_protocol import MOST_TAGS
from ingest.outcomes import Decoded, Ignored
from ingest.table import Row
from tests.unit.ingest.decoding import NOW, Ingest, only, refused

USUAL = Ingest()
AT = 1_767_225_650_000_000_001


def send(payload: bytes | str, *, topic: str = "telegraf/kx-11/chiller", retained: bool = False) -> Decoded:
    return USUAL.decode(topic, payload, retained=retained)


def bound(payload: bytes | str, *, device: str = "", **options: object) -> Decoded:
    return Ingest([Row("lines", ["plant/+/lines"], "line_protocol", device, options=options)]).decode(
        "plant/p4/lines", payload
    )


def values(payload: bytes | str) -> dict[str, Value]:
    return only(send(payload)).values


class TestLine:
    def test_a_line_is_a_reading(self) -> None:
        decoded = send(f'chiller,site=east,host=kx-11 brine=-4.25,starts=77i,alarm=f,mode="eco" {AT}')
        assert only(decoded) == Reading(
            "kx-11",
            AT,
            NOW,
            {"chiller.brine": -4.25, "chiller.starts": 77.0, "chiller.alarm": False, "chiller.mode": "eco"},
        )
        assert decoded.facts == {"kx-11": {"site": "east"}}

    def test_a_line_of_too_many_tags_is_refused_alone_before_the_library_reads_it(self) -> None:
        tags = "".join(f",t{number}=v" for number in range(MOST_TAGS))
        refused(send(f"m,host=h{tags} a=1\n"), Reason.TOO_LARGE, "line 1: it has 1001 tags; 1000 are allowed")
        decoded = send(f"m,host=h{tags} a=1\nm,host=h b=2\n")
        assert [reading.values for reading in decoded.readings] == [{"m.b": 2.0}]

    def test_a_line_without_time_has_the_time_of_arrival(self) -> None:
        assert only(send("chiller,host=kx-11 brine=1")).ts == NOW
        assert send("chiller,host=kx-11 brine=1", retained=True).ignored is Ignored.RETAINED_UNTIMED

    def test_the_measurement_alone_names_a_lone_value(self) -> None:
        assert values("brine,host=k value=1") == {"brine": 1.0}
        assert values("brine,host=k value=1,raw=2") == {"brine.value": 1.0, "brine.raw": 2.0}

    def test_many_lines_are_many_readings(self) -> None:
        decoded = send(f"m,host=a f=1 {AT}\r\nm,host=b f=2 {AT}\n\n# note=\"it's\n  \nm,host=a f=3 {AT + 1}\n")
        assert [(r.device, r.ts, r.values) for r in decoded.readings] == [
            ("a", AT, {"m.f": 1.0}),
            ("b", AT, {"m.f": 2.0}),
            ("a", AT + 1, {"m.f": 3.0}),
        ]
        assert decoded.problems is None

    def test_lines_of_one_moment_are_one_reading(self) -> None:
        assert values(f"m,host=a f=1 {AT}\nn,host=a f=2 {AT}") == {"m.f": 1.0, "n.f": 2.0}

    @pytest.mark.parametrize("payload", ["", "\n\n", "# only a comment", " \t \n", b"\xef\xbb\xbf"])
    def test_nothing_in_it_is_ignored(self, payload: bytes | str) -> None:
        assert send(payload).ignored is Ignored.EMPTY


class TestValues:
    @pytest.mark.parametrize(
        ("written", "value"),
        [
            ("1", 1.0),
            ("-1.5e3", -1500.0),
            ("7i", 7.0),
            ("7u", 7.0),
            ("9007199254740992i", 9007199254740992.0),
            ("9007199254740993i", "9007199254740993"),
            ("-9223372036854775808i", "-9223372036854775808"),
            ("18446744073709551615u", "18446744073709551615"),
            *[(word, True) for word in ("t", "T", "true", "True", "TRUE")],
            *[(word, False) for word in ("f", "F", "false", "False", "FALSE")],
            ('"on"', "on"),
            ('"21.5"', "21.5"),
            ('"unknown"', "unknown"),
            ('""', ""),
            (r'"say \"hi\" \\ x"', r'say "hi" \ x'),
            ('"two\nlines, a=b c"', "two\nlines, a=b c"),
            ('"x=\\"\n# y"', 'x="\n# y'),
        ],
    )
    def test_each_kind_of_field_is_read(self, written: str, value: Value) -> None:
        found = values(f"m,host=a f={written},g=1 {AT}\nn,host=a h=2 {AT}")
        assert found == {"m.f": value, "m.g": 1.0, "n.h": 2.0}
        assert type(found["m.f"]) is type(value)

    def test_names_and_tags_may_hold_escaped_characters(self) -> None:
        decoded = bound(r"oil\ gauge\,old,na\=me=x,host=bay\ 4\,left le\ vel=1,t\,o=2")
        assert only(decoded) == Reading("bay 4,left", NOW, NOW, {"oil gauge,old.le vel": 1.0, "oil gauge,old.t,o": 2.0})

    def test_quotes_mean_nothing_in_tags(self) -> None:
        decoded = send('m,host=a,size=5" f=1\nm,host=b,size=6" f=2')
        assert [(r.device, r.values) for r in decoded.readings] == [("a", {"m.f": 1.0}), ("b", {"m.f": 2.0})]


class TestBadLines:
    @pytest.mark.parametrize(
        "line",
        [
            "m,host=a",
            "m,host=a f=",
            "m,host=a f=1 soon",
            "m,host=a f=1 1.5",
            "m,host= f=1",
            ",host=a f=1",
            "m,host=a f=nan",
            "m,host=a f=1_0",
            "m,host=a f=9223372036854775808i",
            'm,host=a f="never ends',
            'm,host=a f="a"b',
            'm,host=a f=a"b"',
            "m,host=a f=1 99999999999999999999",
        ],
    )
    def test_a_bad_line_is_rejected_alone_with_its_number(self, line: str) -> None:
        decoded = send(f"m,host=a f=1 {AT}\n{line}\nm,host=b f=3 {AT}")
        assert [(r.device, r.values) for r in decoded.readings] == [("a", {"m.f": 1.0}), ("b", {"m.f": 3.0})]
        refused(decoded, Reason.MALFORMED, "line 2: ")

    def test_a_line_that_is_no_utf8_is_rejected_alone(self) -> None:
        decoded = send(b'm,host=a f=1\nm,host=a f="\xff"\nm,host=\xc3\xa9 f=3')
        assert [(r.device, r.values) for r in decoded.readings] == [("a", {"m.f": 1.0}), ("é", {"m.f": 3.0})]
        refused(decoded, Reason.MALFORMED, "line 2: ", "UTF-8")

    def test_lines_are_counted_through_text_with_line_breaks(self) -> None:
        refused(send('m,host=a f="1\n2\n3"\n\nm,host=a f=x'), Reason.MALFORMED, "line 5: ")

    @pytest.mark.parametrize("line", ['m f="', 'm f="a"b', r"m f=\"\"", 'm f=\\="', "m f=1", "m\\"])
    def test_as_many_lines_as_a_message_may_hold_are_read_at_once(self, line: str) -> None:
        assert send(f"{line}\n" * 30_000).problems

    def test_a_time_before_2001_is_that_of_an_unset_clock(self) -> None:
        reading = only(send("m,host=a f=1 12000000000"))
        assert (reading.ts, reading.flags) == (NOW, {"clock": "12000000000"})


class TestDevice:
    def test_the_first_tag_of_the_list_names_it(self) -> None:
        assert only(bound("m,device=c,device_id=b,host=a f=1")).device == "c"
        assert only(bound("m,device_id=b,host=a f=1")).device == "b"

    def test_telegrafs_disks_are_no_devices_and_what_it_measures_several_times_is_told_apart(self) -> None:
        lines = (
            f"cpu,cpu=cpu0,host=a idle=97.5 {AT}\ncpu,cpu=cpu1,host=a idle=91.5 {AT}\n"
            f"disk,device=sdb1,path=/srv,host=a free=5i {AT}"
        )
        reading = only(send(lines))
        assert reading.device == "a"
        assert reading.values == {"cpu.cpu0.idle": 97.5, "cpu.cpu1.idle": 91.5, "disk./srv.free": 5.0}

    def test_else_the_topic_does(self) -> None:
        assert only(send("m,site=x f=1")).device == "kx-11"
        assert only(bound("m f=1", device="{2}")).device == "p4"

    def test_the_list_is_an_option(self) -> None:
        assert only(bound("m,host=a,unit=u f=1", tags=["unit"])).device == "u"
        assert only(bound("m,host=a f=1", tags=[], device="{2}")).device == "p4"

    def test_a_line_without_device_is_rejected_alone(self) -> None:
        decoded = bound("m f=1\nm,host=a f=2")
        assert [(r.device, r.values) for r in decoded.readings] == [("a", {"m.f": 2.0})]
        refused(decoded, Reason.NO_IDENTITY, "line 1: ", "device, device_id, host")

    def test_a_tag_may_hold_what_no_topic_level_does(self) -> None:
        assert only(send("m,host=a/b f=1")).device == "a%2Fb"


class TestTags:
    def test_tags_are_no_metrics(self) -> None:
        assert values("m,host=a,level=5 f=1") == {"m.f": 1.0}

    def test_series_at_one_time_are_not_mixed(self) -> None:
        decoded = send(f"cpu,host=a,core=0 idle=1,busy=2 {AT}\ncpu,host=a,core=1 idle=3 {AT}")
        assert [r.values for r in decoded.readings] == [{"cpu.idle": 1.0, "cpu.busy": 2.0}]
        refused(decoded, Reason.BAD_VALUE, "line 2: ", "'cpu.idle'", "core", "series")

    def test_nor_are_those_that_come_in_messages_of_their_own_as_telegraf_sends_them(self) -> None:
        ingest = Ingest()
        line = "fans,host=kx-11,slot={} speed={} {}"
        assert only(ingest.decode("telegraf/kx-11/fans", line.format(1, 900, AT))).values == {"fans.speed": 900.0}
        other = ingest.decode("telegraf/kx-11/fans", line.format(2, 400, AT))
        refused(other, Reason.BAD_VALUE, "'fans.speed'", "slot", "series")
        assert other.readings == []
        again = ingest.decode("telegraf/kx-11/fans", line.format(1, 900, AT))
        assert only(again).values == {"fans.speed": 900.0}, "delivered again"
        later = ingest.decode("telegraf/kx-11/fans", line.format(2, 410, AT + 1))
        assert only(later).values == {"fans.speed": 410.0}, "another moment"

    @pytest.mark.parametrize(
        "line",
        [
            "temp,host=a,sensor={} temp=4",
            "ping,host=a,url={} ms=4",
            "smart,host=a,serial_no={} temp_c=4i",
            "net_response,host=a,server=s,port={} ms=4",
        ],
    )
    def test_what_telegrafs_usual_plugins_measure_several_times_is_told_apart(self, line: str) -> None:
        decoded = send("\n".join(f"{line.format(name)} {AT}" for name in ("q1", "q2")))
        assert [".q1." in name or ".q2." in name for name in only(decoded).values] == [True, True]

    def test_the_option_series_tells_them_apart(self) -> None:
        decoded = bound(f"cpu,host=a,core=0 idle=1 {AT}\ncpu,host=a,core=1 idle=3 {AT}", series=["core"])
        assert only(decoded).values == {"cpu.0.idle": 1.0, "cpu.1.idle": 3.0}

    def test_which_tags_are_facts_is_an_option(self) -> None:
        assert bound("m,host=a,row=7 f=1", facts=["row"]).facts == {"a": {"row": "7"}}


@pytest.mark.parametrize(
    ("precision", "stated"),
    [("s", 1_767_225_650), ("ms", 1_767_225_650_000), ("us", 1_767_225_650_000_000), ("ns", AT - 1)],
)
def test_the_precision_is_an_option(precision: str, stated: int) -> None:
    assert only(bound(f"m,host=a f=1 {stated}", precision=precision)).ts == AT - 1


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\\\n\r\0\t", exclude_categories=["C", "Z"]), min_size=1
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=20)
FIELDS = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False) | st.booleans() | TEXTS


def escaped(name: str) -> str:
    return "".join(f"\\{c}" if c in ", " else c for c in name)


def written(value: Value) -> str:
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


@given(st.lists(st.tuples(NAMES.filter(lambda name: name[0] not in "#\ufeff"), FIELDS), min_size=1, max_size=4))
def test_what_is_written_is_read(records: list[tuple[str, Value]]) -> None:
    lines = [f"{escaped(name)},host=h x={written(value)} {AT + number}" for number, (name, value) in enumerate(records)]
    decoded = send("\n".join(lines))
    assert decoded.problems is None, decoded.problems.detail
    assert [reading.values for reading in decoded.readings] == [{f"{name}.x": value} for name, value in records]

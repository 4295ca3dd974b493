import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import memory
from ingest.context import Owners, Repeats, Spacing
from ingest.memory import Memory, memory_key, parts_of


class Name(msgspec.Struct, frozen=True):
    text: str


class Other(msgspec.Struct, frozen=True):
    number: int


def test_what_was_put_is_there_and_is_a_change_once() -> None:
    known = Memory()
    known.put("a", Name("x"))
    assert known.get("a", Name) == Name("x")
    assert known.changes() == [("a", b'{"text":"x"}')]
    known.put("a", Name("x"))
    assert known.changes() == []
    known.put("a", Name("y"))
    known.put("a", Name("z"))
    assert known.changes() == [("a", b'{"text":"z"}')]


def test_what_was_told_at_the_start_is_known_but_not_fresh() -> None:
    known = Memory()
    known.tell("a", b'{"text":"x"}')
    assert known.get("a", Name) == Name("x")
    assert not known.fresh("a")
    known.put("a", Name("x"))
    assert known.fresh("a")
    assert known.changes() == []
    known.doubt()
    assert known.get("a", Name) == Name("x")
    assert not known.fresh("a")


def test_what_this_process_knows_is_not_overwritten_by_what_it_is_told() -> None:
    known = Memory()
    known.put("a", Name("new"))
    known.tell("a", b'{"text":"old"}')
    assert known.get("a", Name) == Name("new")


@pytest.mark.parametrize("data", [b"", b"{", b'{"number":1}', b'"x"', b"\xff"])
def test_an_entry_of_another_kind_is_none(data: bytes) -> None:
    known = Memory()
    known.tell("a", data)
    assert known.get("a", Name) is None
    known.put("b", Other(1))
    assert known.get("b", Name) is None


def test_what_is_forgotten_is_a_change_without_data() -> None:
    known = Memory()
    known.put("a", Name("x"))
    known.changes()
    known.forget("a")
    known.forget("never")
    assert known.get("a", Name) is None
    assert known.changes() == [("a", None)]


def test_the_entry_not_used_for_longest_is_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_ENTRIES", 3)
    known = Memory()
    for name in "abc":
        known.put(name, Name(name))
    known.get("a", Name)
    known.put("d", Name("d"))
    assert known.keys("") == ["c", "a", "d"]
    assert known.forgotten == 1
    assert ("b", None) in known.changes()


def test_an_entry_that_is_too_large_to_be_written_is_known_to_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 20)
    known = Memory()
    known.put("a", Name("x" * 30))
    assert known.get("a", Name) == Name("x" * 30)
    assert known.changes() == [("a", None)]


def test_keys_fit_the_bucket_and_are_different_for_different_names() -> None:
    assert memory_key("sparkplug", "Water Works", "a.b") == "sparkplug.Water=20Works.a=2Eb"
    assert memory_key("sparkplug", "") == "sparkplug.="
    assert memory_key("a", "b.c") != memory_key("a", "b", "c")


def test_a_repeat_is_what_was_seen_within_the_time() -> None:
    repeats = Repeats()
    assert not repeats.seen("a", 10, within=5)
    assert repeats.seen("a", 14, within=5)
    assert not repeats.seen("a", 15, within=5)
    assert not repeats.seen("b", 15, within=5)
    assert not repeats.seen("a", 14, within=5), "a clock that went back proves nothing"


def test_what_has_an_owner_is_nobody_elses_until_it_is_forgotten() -> None:
    owners = Owners(most=2)
    assert owners.has("a", "x")
    assert owners.has("a", "x")
    assert not owners.has("a", "y")
    assert owners.has("b", "y")
    assert owners.has("c", "y")
    assert owners.has("a", "y"), "the oldest is forgotten"


def test_what_is_known_of_repeats_is_small_however_long_a_sender_makes_its_names() -> None:
    repeats = Repeats()
    tracemalloc.start()
    for number in range(50):
        assert not repeats.seen(("x" * 100_000, number), 10, within=5)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert repeats.seen(("x" * 100_000, 49), 11, within=5)
    assert held < 100_000


def test_an_entry_with_a_key_too_long_for_a_subject_is_known_to_this_process_alone() -> None:
    known = Memory()
    known.put("k" * (memory.MAX_KEY + 1), Name("x"))
    assert known.get("k" * (memory.MAX_KEY + 1), Name) == Name("x")
    assert known.changes() == []


def test_the_entries_of_a_family_are_counted() -> None:
    known = Memory()
    known.tell("a.1", b'{"text": "x"}')
    known.tell("a.1", b'{"text": "y"}')
    known.tell("a.2", b"spoilt")
    known.put("a.3", Name("x"))
    known.put("a.3", Name("y"))
    known.put("b.1", Name("x"))
    assert (known.count("a"), known.count("b"), known.count("c")) == (3, 1, 0)
    assert known.get("a.1", Name) == Name("y")
    assert known.get("a.2", Name) is None
    known.forget("a.3")
    known.forget("a.3")
    assert known.count("a") == 1
    known.put("a.1", Other(1))
    assert known.count("a") == 1


@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=10), min_size=1, max_size=4))
def test_a_key_tells_its_parts(parts: list[str]) -> None:
    assert parts_of(memory_key(*parts)) == parts


def test_what_is_held_is_not_written_and_goes_with_a_doubt() -> None:
    known = Memory()
    known.hold("a", Name("x"), 1)
    assert known.held("a", Name) == Name("x")
    assert known.held("a", Memory) is None
    assert known.changes() == []
    known.doubt(7)
    assert known.held("a", Name) is None
    assert known.doubted == 7


def test_of_too_much_that_is_held_the_thing_not_asked_for_longest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_HELD", 10)
    known = Memory()
    for name in "abc":
        known.hold(name, Name(name), 3)
    known.held("a", Name)
    known.hold("c", Name("C"), 5)
    assert [known.held(name, Name) for name in "abc"] == [Name("a"), None, Name("C")]
    assert known.forgotten == 1


def test_a_restart_forgets_everything_and_writes_nothing() -> None:
    known = Memory()
    known.put("a.b", Name("x"))
    known.restart(7)
    assert known.get("a.b", Name) is None
    assert known.changes() == []
    assert known.count("a") == 0
    known.tell("a.b", b'{"text":"y"}')
    assert known.get("a.b", Name) == Name("y")


def test_what_is_asked_for_nothing_is_asked_ever_more_rarely() -> None:
    spacing = Spacing()
    asked = [now for now in range(100) if spacing.due("a", now, least=3, most=20)]
    assert asked == [0, 3, 9, 21, 41, 61, 81]
    assert spacing.due("b", 50, least=3, most=20)
    spacing.answered("a")
    assert [now for now in range(82, 95) if spacing.due("a", now, least=3, most=20)] == [84, 87, 93]


def test_entries_that_weigh_too_much_together_are_forgotten_oldest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_WEIGHT", 3_000)
    known = Memory()
    known.tell("told", b'{"text":"%b"}' % (b"x" * 900))
    for key in ("a", "b", "c"):
        known.put(key, Name("x" * 900))
        known.get("told", Name)
    known.changes()
    assert [key for key in ("told", "a", "b", "c") if known.get(key, Name)] == ["told", "b", "c"]
    assert known.changes() == [("a", None)]
    known.forget("b")
    known.put("d", Name("x" * 900))
    known.changes()
    assert [key for key in ("told", "c", "d") if known.get(key, Name)] == ["told", "c", "d"]


def test_no_more_is_told_than_may_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_WEIGHT", 3_000)
    known = Memory()
    for number in range(10):
        known.tell(str(number), b'{"text":"%b"}' % (b"x" * 990))
    assert len(known) == 3


def test_text_that_utf_8_cannot_hold_is_remembered_by_this_process_alone() -> None:
    known = Memory()
    known.put("a", Name("\ud800"))
    known.put("b", Name("x"))
    assert known.changes() == [("a", None), ("b", b'{"text":"x"}')]
    assert known.get("a", Name) == Name("\ud800")


def test_values_that_python_hashes_alike_are_no_repeats_of_each_other() -> None:
    repeats = Repeats()
    assert not repeats.seen(("mast", (("temperature_C", -1.0),)), 0, within=5)
    assert not repeats.seen(("mast", (("temperature_C", -2.0),)), 1, within=5)

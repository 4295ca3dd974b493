from contracts.computed import ComputedFailure
from processor.failing import Failing

EXPRESSIONS = {"p": "u / i", "q": "u + mode"}


def note(failing: Failing, device: str, now: int, *, worked: tuple[str, ...] = (), **errors: str) -> None:
    failing.note("pump", EXPRESSIONS, device, worked, errors, now)


def failure(metric: str, error: str, device: str, since: int, last: int, count: int) -> ComputedFailure:
    return ComputedFailure(1, "pump", metric, EXPRESSIONS[metric], error, device, since, last, count)


def test_a_failure_is_told_with_since_when_and_how_often() -> None:
    failing = Failing()
    note(failing, "a", 10, p="zero")
    note(failing, "b", 11, p="text", q="text")
    note(failing, "a", 12, worked=("q",))
    assert failing.changes() == {
        ("pump", "p"): failure("p", "text", "b", 10, 11, 2),
        ("pump", "q"): failure("q", "text", "b", 11, 11, 1),
    }
    assert failing.changes() == {}


def test_a_metric_works_again_when_it_does_for_the_device_with_which_it_failed() -> None:
    failing = Failing()
    note(failing, "a", 10, p="zero")
    failing.changes()
    note(failing, "b", 11, worked=("p",))
    assert failing.changes() == {}
    note(failing, "a", 12, worked=("p", "q"))
    assert failing.changes() == {("pump", "p"): None}
    note(failing, "a", 13, p="zero")
    assert failing.changes() == {("pump", "p"): failure("p", "zero", "a", 13, 13, 1)}


def test_another_expression_fails_anew() -> None:
    failing = Failing()
    note(failing, "a", 10, p="zero")
    failing.note("pump", {"p": "u"}, "a", (), {"p": "other"}, 20)
    assert failing.changes() == {("pump", "p"): ComputedFailure(1, "pump", "p", "u", "other", "a", 20, 20, 1)}


def test_what_was_told_before_a_restart_goes_on_and_can_be_taken_back() -> None:
    failing = Failing()
    note(failing, "b", 20, q="text")
    failing.adopt([failure("p", "zero", "a", 5, 6, 3), failure("q", "text", "a", 7, 8, 2)])
    note(failing, "b", 21, p="zero", q="text")
    assert failing.changes() == {
        ("pump", "p"): failure("p", "zero", "b", 5, 21, 4),
        ("pump", "q"): failure("q", "text", "b", 7, 21, 4),
    }
    note(failing, "b", 22, worked=("p",))
    assert failing.changes() == {("pump", "p"): None}


def test_what_was_told_of_another_expression_is_not_gone_on_with() -> None:
    failing = Failing()
    note(failing, "b", 20, p="zero")
    failing.adopt([ComputedFailure(1, "pump", "p", "before", "zero", "a", 5, 6, 3)])
    assert failing.changes() == {("pump", "p"): failure("p", "zero", "b", 20, 20, 1)}


def test_all_is_told_again_where_it_was_lost() -> None:
    failing = Failing()
    note(failing, "a", 10, p="zero")
    told = failing.changes()
    failing.repeat()
    assert failing.changes() == told


def test_no_more_than_so_many_are_known_and_the_oldest_make_room() -> None:
    failing = Failing(most=2)
    failing.adopt([failure("q", "told", "z", 1, 1, 1)])
    for number, profile in enumerate("abc"):
        failing.note(profile, EXPRESSIONS, "d", (), {"p": "zero"}, number)
        assert len(failing) <= 2
    assert [profile for profile, _ in sorted(failing.changes())] == ["b", "c"]

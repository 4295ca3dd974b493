from ingest.inflight import Inflight, Receipt
from ingest.outcomes import Arrival
from ingest.packets import Publish

SECOND = 1_000_000_000
NOW = 1_767_225_700 * SECOND


def message(number: int, payload: bytes = b"1", *, dup: bool = False) -> Publish:
    return Publish("t", payload, b"\x40\x02" + number.to_bytes(2), dup=dup, retain=False)


def taken(inflight: Inflight, publish: Publish, now: int) -> Receipt:
    receipt = Receipt(publish.ack, Arrival(publish.topic, publish.payload, inflight.received(publish, now)))
    inflight.hold(receipt)
    return receipt


def test_messages_are_acknowledged_in_the_order_given_and_once() -> None:
    inflight = Inflight()
    receipts: list[object] = [taken(inflight, message(number), NOW) for number in (3, 1, 2)]
    assert inflight.settle([None, *receipts], NOW) == ([message(n).ack for n in (3, 1, 2)], 0)
    assert inflight.settle(receipts, NOW) == ([], 3)
    assert len(inflight) == 0


def test_what_came_over_a_lost_connection_is_not_acknowledged_for_another_message_with_its_identifier() -> None:
    inflight = Inflight()
    old = taken(inflight, message(1), NOW)
    inflight.lost(NOW)
    inflight.resumed(NOW, session_present=False)
    new = taken(inflight, message(1, b"2"), NOW)
    assert inflight.settle([old], NOW) == ([], 1)
    assert inflight.settle([new], NOW) == ([new.ack], 0)


def test_a_copy_of_a_held_message_is_known_and_another_message_with_its_identifier_is_not_one() -> None:
    inflight = Inflight()
    receipt = taken(inflight, message(1), NOW)
    assert inflight.is_repeat(message(1, dup=True))
    assert not inflight.is_repeat(message(1, b"2"))
    inflight.settle([receipt], NOW)
    assert not inflight.is_repeat(message(1, dup=True))


def test_what_is_sent_again_after_a_reconnection_was_received_when_it_first_was() -> None:
    inflight = Inflight()
    for number in (1, 2):
        taken(inflight, message(number), NOW + number)
    inflight.lost(NOW + 10)
    inflight.resumed(NOW + 10, session_present=True)
    assert inflight.received(message(1), NOW + 20) == NOW + 20, "not marked as sent again"
    assert [inflight.received(message(n, dup=True), NOW + 20) for n in (1, 2, 3)] == [NOW + 1, NOW + 2, NOW + 20]


def test_copies_of_what_was_acknowledged_late_were_received_when_the_first_was() -> None:
    inflight = Inflight()
    late, soon = taken(inflight, message(1, b"late"), NOW), taken(inflight, message(2, b"soon"), NOW + 6 * SECOND)
    inflight.settle([late, soon], NOW + 6 * SECOND)
    assert inflight.received(message(1, b"late", dup=True), NOW + 7 * SECOND) == NOW
    assert inflight.received(message(2, b"soon", dup=True), NOW + 7 * SECOND) == NOW + 7 * SECOND


def test_what_was_expected_too_long_ago_is_forgotten() -> None:
    inflight = Inflight()
    taken(inflight, message(1), NOW)
    inflight.lost(NOW)
    assert inflight.received(message(1, dup=True), NOW + 61 * SECOND) == NOW + 61 * SECOND
    taken(inflight, message(1), NOW)
    inflight.lost(NOW)
    inflight.resumed(NOW, session_present=False)
    assert inflight.received(message(1, dup=True), NOW + 1) == NOW + 1, "the broker has forgotten the session"

"""Dead letters of the real stream server: listed by filters, replayed, edited and discarded, within limits."""

import asyncio
from pathlib import Path

import pytest

from contracts import streams
from contracts.deadletters import DEAD_LETTER, DeadLetter, Reason
from contracts.jetstream import Link, ensure_stream
from contracts.streams import deadletter_subject
from devices_api.letters import deadletters
from tests.conftest import Server
from tests.integration.registry_service import Service, running

HOUR = 3_600_000_000_000


def rejected(n: int, reason: Reason = Reason.MALFORMED, device: str = "a") -> tuple[str, bytes]:
    letter = DeadLetter(1, reason, f"number {n}", f"devices/{device}/telemetry", b"%d" % n, n, "ingest", device)
    return deadletter_subject(reason, device), DEAD_LETTER.encode(letter)


async def reject(link: Link, *letters: tuple[str, bytes]) -> None:
    await asyncio.gather(*(link.js.publish(subject, body) for subject, body in letters))


async def every(service: Service, **query: str | int) -> list[int]:
    """Ids of all dead letters, page by page."""
    page = await service.get("/dead-letters", **query)
    ids = [item["id"] for item in page["items"]]
    while page["next"]:
        page = await service.get("/dead-letters", cursor=page["next"], **query)
        ids += [item["id"] for item in page["items"]]
    return ids


async def test_dead_letters_are_listed_newest_first_with_filters(service: Service, peer: Link) -> None:
    assert await every(service) == []
    rare = {40, 333}
    letters = [rejected(n, Reason.BAD_TIME if n in rare else Reason.MALFORMED, f"d{n % 3}") for n in range(1, 601)]
    for at in range(0, 600, 100):
        await reject(peer, *letters[at : at + 100])
    for gone in [*range(100, 200), 600]:
        await peer.js.delete_msg("DEADLETTERS", gone)
    left = [n for n in range(599, 0, -1) if not 100 <= n < 200]
    assert await every(service, limit=70) == left
    assert await every(service, reason="bad_time") == [333, 40]
    assert await every(service, device="d1", limit=50) == [n for n in left if n % 3 == 1]
    assert await every(service, device="nobody") == []
    first = (await service.get("/dead-letters", limit=1))["items"][0]
    assert (first["detail"], first["topic"]) == ("number 599", "devices/d2/telemetry")
    assert await service.get(f"/dead-letters/{first['id']}") == first
    consumers = await peer.js.consumers_info("DEADLETTERS")
    assert consumers == [], "temporary consumers are gone"


async def test_a_dead_letter_is_replayed_once(service: Service, peer: Link) -> None:
    subject, body = rejected(1)
    await reject(peer, (subject, body))
    [sequence] = await every(service)
    answers = await asyncio.gather(*(service.client.post(f"/dead-letters/{sequence}/replay") for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {202, 404}
    assert any(answer.json() == {"id": sequence, "status": "replaying"} for answer in answers)
    assert (await service.client.post(f"/dead-letters/{sequence}/replay")).status_code == 404
    assert await every(service) == []
    state = (await peer.js.stream_info("REPLAYS")).state
    assert state.messages == 1
    assert (await peer.js.get_msg("REPLAYS", state.last_seq)).data == body


async def test_a_dead_letter_of_another_version_is_shown_and_not_replayed(service: Service, peer: Link) -> None:
    await reject(peer, (deadletter_subject("malformed"), b"\x91\x63"))
    [item] = (await service.get("/dead-letters"))["items"]
    assert (item["reason"], item["payload_base64"]) == ("malformed", "kWM=")
    assert "schema version 99" in item["detail"]
    assert (await service.client.post(f"/dead-letters/{item['id']}/replay")).status_code == 409


async def replays(link: Link) -> list[DeadLetter]:
    """What is in ingest's queue."""
    state = (await link.js.stream_info("REPLAYS")).state
    numbers = range(state.first_seq, state.last_seq + 1)
    return [DEAD_LETTER.decode((await link.js.get_msg("REPLAYS", n)).data or b"") for n in numbers]


def same_slot(device: str) -> str:
    """Another device, whose dead letters fall into the slot of `device`."""
    slot = streams.deadletter_slot(device)
    return next(other for n in range(100_000) if streams.deadletter_slot(other := f"other-{n}") == slot)


async def test_a_devices_dead_letters_are_told_from_others_in_its_slot(service: Service, peer: Link) -> None:
    other = same_slot("pump 7 \N{DEGREE SIGN}")
    await reject(peer, rejected(1, device="pump 7 \N{DEGREE SIGN}"), rejected(2, device=other), rejected(3, device=""))
    assert await every(service, device="pump 7 \N{DEGREE SIGN}") == [1]
    assert await every(service, device=other) == [2]
    assert await every(service, device="", reason="malformed") == [3]
    assert await every(service, device="", reason="bad_time") == []


async def test_a_stream_of_an_earlier_version_is_read_and_given_the_limits(
    stream: Server, tmp_path: Path, peer: Link
) -> None:
    await ensure_stream(peer.js, streams.Stream("DEADLETTERS", "deadletters.*", "limits", "old", streams.GIB))
    await peer.js.publish("deadletters.malformed", rejected(1, device="a")[1])
    await peer.js.publish("deadletters.malformed", rejected(2, device="b")[1])
    async with running(stream, tmp_path, deadletter_days=0.5, deadletter_bytes=64 << 20) as service:
        await service.ready()
        await reject(peer, rejected(3, Reason.BAD_TIME, device="a"))
        assert await every(service, device="a") == [3, 1]
        assert await every(service, reason="malformed") == [2, 1]
        assert (await service.client.delete("/dead-letters", params={"reason": "malformed"})).json()["discarded"] == 2
        config = (await peer.js.stream_info("DEADLETTERS")).config
        assert (config.max_age, config.max_bytes) == (43_200, 64 << 20)
    async with running(stream, tmp_path) as service:
        await service.ready()
        config = (await peer.js.stream_info("DEADLETTERS")).config
        assert (config.max_age, config.max_bytes) == (30 * 86_400, 4 << 30)


async def test_dead_letters_are_found_by_the_time_they_were_received(service: Service, peer: Link) -> None:
    await reject(peer, rejected(1))
    info = await peer.js.stream_info("DEADLETTERS")
    stored = (await peer.js.get_msg("DEADLETTERS", info.state.last_seq)).time
    assert stored is not None
    now = int(stored.timestamp()) * 1_000_000_000
    await reject(peer, *(rejected(at) for at in (now - 2 * HOUR, now - HOUR, now)))
    ids = {item["received"]: item["id"] for item in (await service.get("/dead-letters"))["items"]}
    by_time = [ids[received] for received in sorted(ids)]
    assert await every(service, start=now - HOUR) == sorted(by_time[2:], reverse=True)
    assert await every(service, end=now) == sorted(by_time[:3], reverse=True)
    assert await every(service, start=now - HOUR, end=now) == [by_time[2]]
    assert await every(service, start=now + HOUR) == []


async def test_an_edited_replay_leaves_the_original_to_go_back_to(service: Service, peer: Link) -> None:
    await reject(peer, rejected(1))
    body = {"topic": "devices/b/telemetry", "payload_text": '{"soil": 31.5}'}
    assert (await service.client.post("/dead-letters/1/replay", json=body)).status_code == 202
    [handed] = await replays(peer)
    assert (handed.topic, handed.payload, handed.received, handed.service) == (
        "devices/b/telemetry",
        b'{"soil": 31.5}',
        1,
        "ingest",
    )
    [kept] = (await service.get("/dead-letters"))["items"]
    assert (kept["reason"], kept["topic"], kept["payload_text"]) == ("edited", "devices/a/telemetry", "1")
    assert kept["detail"] == "an edited copy was replayed; it had been rejected as malformed: number 1"
    assert await every(service, reason="edited", device="a") == [kept["id"]]
    answer = (await service.client.post("/dead-letters/replay", params={"device": "a"})).json()
    assert (answer["replayed"], answer["skipped"]) == (0, 1), "its copy has been replayed"
    again = await service.client.post(f"/dead-letters/{kept['id']}/replay", json={"payload_base64": "Mg=="})
    assert again.status_code == 202
    assert await every(service) == [kept["id"]]
    assert (await service.client.post(f"/dead-letters/{kept['id']}/replay")).status_code == 202
    assert await every(service) == []
    assert [letter.payload for letter in await replays(peer)] == [b'{"soil": 31.5}', b"2", b"1"]
    assert [service.metric("replays_total", cause=cause) for cause in ("edit", "request")] == [2, 1]


async def test_replay_by_filter_takes_the_oldest_first_and_not_what_comes_meanwhile(
    service: Service, peer: Link
) -> None:
    await reject(peer, *(rejected(n, device=f"d{n % 2}") for n in range(1, 301)))
    query: dict[str, str | int] = {"device": "d1", "limit": 100}
    first = (await service.client.post("/dead-letters/replay", params=query)).json()
    assert (first["replayed"], first["skipped"]) == (100, 0)
    await reject(peer, rejected(1, device="d1"))
    second = (await service.client.post("/dead-letters/replay", params=query | {"cursor": first["next"]})).json()
    assert (second["replayed"], second["next"]) == (50, None)
    received = [letter.received for letter in await replays(peer)]
    assert received == list(range(1, 300, 2))
    assert await every(service, device="d1") == [301]
    assert len(await every(service, device="d0")) == 150
    assert service.metric("replays_total", cause="filter") == 150


async def test_replay_by_filter_begun_anew_goes_on_with_what_is_left(service: Service, peer: Link) -> None:
    await reject(peer, *(rejected(n) for n in range(1, 101)))
    query = {"reason": "malformed", "limit": "60"}
    answers = [(await service.client.post("/dead-letters/replay", params=query)).json() for _ in range(3)]
    assert [answer["replayed"] for answer in answers] == [60, 40, 0]
    assert [letter.received for letter in await replays(peer)] == list(range(1, 101))


async def test_a_sweep_that_takes_long_ends_with_the_rest_for_the_next(
    service: Service, peer: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadletters, "SWEEP_S", 0.0)
    await reject(peer, *(rejected(n) for n in range(1, 201)))
    counts, cursor = list[int](), dict[str, str]()
    while cursor is not None:
        query = {"reason": "malformed", "limit": "1000"} | cursor
        answer = (await service.client.delete("/dead-letters", params=query)).json()
        counts.append(answer["discarded"])
        if answer["next"] is None:
            break
        cursor = {"cursor": answer["next"]}
    assert counts == [64, 64, 64, 8]


async def test_what_was_discarded_is_gone_and_counted_by_reason(service: Service, peer: Link) -> None:
    await reject(peer, rejected(1), rejected(2, Reason.BAD_TIME), rejected(3, Reason.BAD_TIME, "b"))
    await peer.js.publish(deadletter_subject("of-a-later-version"), b"\x91\x63")
    assert (await service.client.delete("/dead-letters/1")).status_code == 204
    assert (await service.client.delete("/dead-letters/1")).status_code == 404
    assert (await service.client.delete("/dead-letters/4")).status_code == 204
    assert (await service.client.delete("/dead-letters", params={"device": "b"})).json()["discarded"] == 1
    assert await every(service) == [2]
    reasons = ("malformed", "bad_time", "other")
    assert [service.metric("dead_letters_discarded_total", reason=reason) for reason in reasons] == [1, 1, 1]
    assert await peer.js.consumers_info("DEADLETTERS") == [], "temporary consumers are gone"


async def test_a_device_among_many_dead_letters_is_found_in_one_page(service: Service, peer: Link) -> None:
    for at in range(0, 5000, 500):
        await reject(peer, *(rejected(n, device=f"d{n}") for n in range(at, at + 500)))
    page = await service.get("/dead-letters", device="d7")
    assert ([item["received"] for item in page["items"]], page["next"]) == (["1970-01-01T00:00:00.000000007Z"], None)

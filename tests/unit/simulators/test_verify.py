"""Verification finds what is wrong, against an API that behaves like the real one."""

import asyncio
import base64
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from contracts import logs
from contracts.readings import Value
from simulators.fleet import fleet, values
from simulators.ledger import About, Ledger, LedgerError
from simulators.payloads import FAULTS, broken, encode_values
from simulators.query_api import ApiError, nanoseconds
from simulators.verify import Verdict, verify

KEY = "a-key-for-the-tests"
START = 1_795_000_000_123_456_789
STEP = 100_000_000
MESSAGES = 30


def rfc3339(ts: int) -> str:
    return f"{datetime.fromtimestamp(ts // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{ts % 10**9:09d}Z"


class FakeApi:
    """devices_api's two lists, with pages of 7, from what was stored in it."""

    page = 7

    def __init__(self) -> None:
        self.points: dict[tuple[str, str], list[tuple[int, Value]]] = defaultdict(list)
        self.letters: list[tuple[str, str, bytes]] = []
        self.requests: list[httpx.URL] = []
        self.before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None

    def store(self, device: str, ts: int, readings: dict[str, Value]) -> None:
        for metric, value in readings.items():
            self.points[device, metric].append((ts, value))

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request.url)
        if request.headers["Authorization"] != f"Bearer {KEY}":
            return httpx.Response(401, json={"detail": "send the key"})
        if (instead := self.before(request)) is not None:
            return instead
        query, path = request.url.params, request.url.path.removeprefix("/api/v1")
        cursor = int(query.get("cursor", 0))
        size = min(int(query.get("limit", 100)), self.page)
        end = cursor + size
        if path == "/dead-letters":
            mine = [letter for letter in self.letters if letter[0] == query["device"]]
            items = [
                {"id": n, "reason": reason, "device": d, "payload_base64": base64.b64encode(body).decode()}
                for n, (d, reason, body) in enumerate(mine)
            ]
            return httpx.Response(200, json={"items": items[cursor:end], "next": self.next(end, len(items))})
        device = path.split("/")[2]
        metrics = {metric: found for (d, metric), found in self.points.items() if d == device}
        if not metrics:
            return httpx.Response(404, json={"detail": f"no device {device}"})
        if path.endswith("/latest"):
            latest = {metric: {"ts": rfc3339(max(p)[0]), "value": max(p)[1]} for metric, p in metrics.items()}
            return httpx.Response(200, json={"device": device, "values": latest})
        found = metrics.get(query["metric"], [])
        within = sorted((p for p in found if int(query["start"]) <= p[0] < int(query["end"])), key=lambda p: p[0])
        points = [{"ts": rfc3339(ts), "value": value} for ts, value in within]
        return httpx.Response(200, json={"points": points[cursor:end], "next": self.next(end, len(points))})

    @staticmethod
    def next(end: int, total: int) -> str | None:
        return str(end) if end < total else None


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def ledger(tmp_path: Path, api: FakeApi) -> Path:
    """Record three devices' messages, every tenth malformed, the last one unacknowledged; the API has all of it."""
    path = tmp_path / "ledger.sqlite3"
    record = Ledger(path, About(1, 3, 0, 1.0, 0.0, 0.1), START, logs.quiet())
    for device in fleet(1, 3):
        for n in range(MESSAGES):
            ts = START + n * STEP
            if n % 10 == 3:
                kind = list(FAULTS)[n % len(FAULTS)]
                number = record.record(device.id, ts, None, ts, (kind, broken(kind, ts)))
                api.letters.append((device.id, FAULTS[kind], broken(kind, ts)))
            else:
                number = record.record(device.id, ts, encode_values(values(device, ts)), ts, None)
                api.store(device.id, ts, values(device, ts))
            if n < MESSAGES - 1:
                record.acked(number, ts + 1)
    record.close()
    return path


async def check(ledger: Path, api: FakeApi, wait_seconds: float = 0.3) -> Verdict:
    return await verify(ledger, "http://api", KEY, wait_seconds=wait_seconds, transport=httpx.MockTransport(api))


def counts(verdict: Verdict) -> tuple[int, int, int, int, int, int]:
    assert verdict.stored + verdict.dead_lettered + verdict.lost == verdict.published
    return (
        verdict.published,
        verdict.stored,
        verdict.dead_lettered,
        verdict.lost,
        verdict.wrong,
        verdict.duplicates,
    )


async def test_everything_in_its_place_is_fine(ledger: Path, api: FakeApi) -> None:
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 78, 9, 0, 0, 0)
    assert (verdict.ok, verdict.unacked, verdict.examples) == (True, 3, [])
    assert sum(verdict.reasons.values()) == 9


async def test_a_message_that_was_not_acknowledged_may_be_there_or_not(ledger: Path, api: FakeApi) -> None:
    last = START + (MESSAGES - 1) * STEP
    for series in api.points.values():
        series[:] = [point for point in series if point[0] != last]
    assert counts(await check(ledger, api)) == (87, 78, 9, 0, 0, 0)


async def test_one_lost_value_is_a_lost_message(ledger: Path, api: FakeApi) -> None:
    ts, _ = api.points["env-001", "co2"].pop(5)
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 77, 9, 1, 0, 0)
    assert verdict.examples == [f"lost: env-001 at {ts}: neither stored whole nor kept"]
    assert not verdict.ok


async def test_a_device_that_nobody_knows_has_lost_everything(ledger: Path, api: FakeApi) -> None:
    for key in [key for key in api.points if key[0] == "meter-001"]:
        del api.points[key]
    assert counts(await check(ledger, api)) == (87, 52, 9, 26, 0, 0)


@pytest.mark.parametrize(("metric", "change"), [("flow", 0.1), ("running", None), ("state", None)])
async def test_a_wrong_value_is_found(ledger: Path, api: FakeApi, metric: str, change: float | None) -> None:
    series = api.points["pump-001", metric]
    ts, value = series[4]
    wrong: Value = float(value) + change if change else 1.0 if value is True else "broken"
    series[4] = (ts, wrong)
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 77, 9, 1, 1, 0)
    assert any(example.startswith(f"wrong: pump-001 {metric} at {ts}") for example in verdict.examples)


async def test_a_point_that_was_never_sent_is_found(ledger: Path, api: FakeApi) -> None:
    api.store("env-001", START + STEP + 1, {"co2": 500.0})
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 78, 9, 0, 0, 1)
    assert "never sent" in verdict.examples[0]


async def test_a_point_that_is_there_twice_is_found(ledger: Path, api: FakeApi) -> None:
    api.points["env-001", "co2"].append(api.points["env-001", "co2"][3])
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 78, 9, 0, 0, 1)
    assert "twice" in verdict.examples[0]


async def test_a_malformed_message_that_was_stored_is_found(ledger: Path, api: FakeApi) -> None:
    api.store("env-001", START + 3 * STEP, {"nonsense": 1.0})
    assert counts(await check(ledger, api)) == (87, 78, 9, 0, 0, 1)


async def test_points_of_other_times_are_not_this_ledgers(ledger: Path, api: FakeApi) -> None:
    api.store("env-001", START - 1, {"co2": 500.0})
    api.store("env-001", START + MESSAGES * STEP, {"co2": 500.0})
    assert (await check(ledger, api)).ok


async def test_a_missing_dead_letter_is_a_loss(ledger: Path, api: FakeApi) -> None:
    api.letters.pop()
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 78, 8, 1, 0, 0)
    assert "no dead letter" in verdict.examples[0]


async def test_a_good_message_that_was_dead_lettered_is_not_lost(ledger: Path, api: FakeApi) -> None:
    ts, _ = api.points["env-001", "co2"][5]
    for metric in ("temperature", "humidity", "co2", "battery"):
        api.points["env-001", metric].pop(5)
    body = b'{"ts":%d,"values":%b}' % (ts, encode_values(values(fleet(1, 1)[0], ts)))
    api.letters.append(("env-001", "unknown_device", body))
    verdict = await check(ledger, api)
    assert counts(verdict) == (87, 77, 10, 0, 0, 0)
    assert verdict.rejected == 1
    assert not verdict.ok, "it was not malformed: it should have been stored"


async def test_a_dead_letter_of_another_device_does_not_count(ledger: Path, api: FakeApi) -> None:
    device, reason, body = api.letters.pop()
    api.letters.append(("env-001" if device != "env-001" else "pump-001", reason, body + b" "))
    assert (await check(ledger, api)).lost == 1


async def test_stragglers_are_waited_for_and_only_they_are_asked_for_again(ledger: Path, api: FakeApi) -> None:
    late = api.points["env-001", "co2"].pop(5)
    asked: list[str] = []

    def before(request: httpx.Request) -> None:
        if request.url.params.get("start") == str(late[0]):
            asked.append(request.url.params["metric"])
            if len(asked) == 5:
                api.store("env-001", late[0], {"co2": late[1]})

    api.before = before
    verdict = await check(ledger, api, wait_seconds=10)
    assert counts(verdict) == (87, 78, 9, 0, 0, 0)
    assert not any("meter-001" in url.path for url in api.requests[-8:])


async def test_an_api_that_is_away_for_a_while_is_asked_again(ledger: Path, api: FakeApi) -> None:
    answers = iter([httpx.Response(503), httpx.Response(502)])
    api.before = lambda _: next(answers, None)
    assert (await check(ledger, api, wait_seconds=5)).ok


async def test_an_api_that_stays_away_is_said_so_and_nothing_is_called_lost(ledger: Path, api: FakeApi) -> None:
    api.before = lambda _: httpx.Response(503)
    with pytest.raises(ApiError, match="does not answer"):
        await check(ledger, api, wait_seconds=0)


async def test_a_wrong_key_is_said_at_once(ledger: Path, api: FakeApi) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(ApiError, match="401"):
            await verify(ledger, "http://api", "wrong", wait_seconds=60, transport=httpx.MockTransport(api))


async def test_without_a_ledger_nothing_can_be_said(tmp_path: Path, api: FakeApi) -> None:
    with pytest.raises(LedgerError):
        await check(tmp_path / "none", api)


def test_times_are_read_to_the_nanosecond() -> None:
    assert nanoseconds(rfc3339(START)) == START
    with pytest.raises(ValueError, match="nine fraction digits"):
        nanoseconds("2026-01-01T00:00:00Z")

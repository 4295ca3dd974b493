"""A registry and a time-series store of a test's own, in its directory."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from contracts import logs
from contracts.computed import ComputedFailure
from contracts.deadletters import DeadLetter, Reason
from contracts.jetstream import Link
from contracts.rates import parse_rate
from contracts.readings import Reading, Value
from contracts.times import SECOND
from contracts.timeseries import Days, Tier
from devices_api import database
from devices_api.credentials.identity import Identity
from devices_api.credentials.passwords import Passwords
from devices_api.errors import UnavailableError
from devices_api.keys.keyring import Keyring
from devices_api.keys.tickets import Tickets
from devices_api.letters.deadletters import DeadLetters, NotReplayableError, Page, Rest, Sweep
from devices_api.letters.handover import Edit
from devices_api.letters.selection import Selection
from devices_api.live.hub import Hub
from devices_api.metrics import Metrics
from devices_api.registry.profiles import Profile
from devices_api.repository import Repository
from devices_api.telemetry.sqlite import SqliteTimeSeries
from devices_api.web import api
from devices_api.web.authentication import Authentication, Tokens
from processor.engine import Engine
from processor.sqlite import SqliteStore
from tests.shared_app import SharedApp

KEY = "a-key-for-these-tests"
BROKER_KEY = "a-key-for-the-broker"
NOW = 1_767_225_600 * SECOND


_EMPTY: list[bytes] = []
"""The file of a registry with nothing in it: migrations take longer than most tests."""


async def open_registry(file: Path) -> Repository:
    """Open the registry in `file`, made anew if there is none."""
    if not _EMPTY:
        with tempfile.TemporaryDirectory() as directory:
            await migrated(f"{directory}/devices.sqlite3")
            keep_as_empty(Path(directory, "devices.sqlite3"))
    engine = database.connect(f"sqlite+aiosqlite:///{file}")
    make_if_missing(file)
    return Repository(engine)


def keep_as_empty(file: Path) -> None:
    _EMPTY.append(file.read_bytes())


def make_if_missing(file: Path) -> None:
    if not file.exists():
        file.write_bytes(_EMPTY[0])


async def migrated(file: str) -> None:
    engine = database.connect(f"sqlite+aiosqlite:///{file}")
    await database.migrate(engine)
    await engine.dispose()


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Repository]:
    repository = await open_registry(tmp_path / "registry" / "devices.sqlite3")
    yield repository
    await repository.close()


@pytest.fixture
async def second_registry(registry: Repository, tmp_path: Path) -> AsyncIterator[Repository]:
    """Give another replica's registry, on the database of the first."""
    del registry  # it has made the database
    repository = await open_registry(tmp_path / "registry" / "devices.sqlite3")
    yield repository
    await repository.close()


@pytest.fixture
def empty_url(tmp_path: Path) -> str:
    """Name a database that is not there yet."""
    return f"sqlite+aiosqlite:///{tmp_path}/empty.sqlite3"


def idle_hub() -> Hub:
    """Give a hub that hears nothing, for there is no stream server."""
    link = Link("nats://127.0.0.1:1", "", "none", logs.quiet())
    return Hub(link, Metrics(lambda: False), logs.quiet(), lambda: 0.0)


@pytest.fixture(scope="session")
def runner() -> Iterator[asyncio.Runner]:
    """Give a loop for laws: Hypothesis runs functions that are not asynchronous."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def tables(runner: asyncio.Runner, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsyncEngine]:
    """Give the registry's tables with nothing in them, for laws that leave nothing in them."""
    engine = database.connect(f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('tables')}/devices.sqlite3")
    runner.run(database.migrate(engine))
    yield engine
    runner.run(engine.dispose())


class StoreFile:
    """The time-series store as processor leaves it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(
        self,
        device: str,
        metric: str,
        points: Iterable[tuple[int, Value]],
        *,
        profile: str = "default",
        zone: str = "",
    ) -> None:
        """Write points of one metric, as processor does: all in one write."""
        engine = Engine(SqliteStore(self.path, 1), 1000, lambda _: Days(zone))
        engine.write([(0, [Reading(device, ts, 0, {metric: value}, {}, profile) for ts, value in points])], {0: 1})
        engine.close()

    def drop(self, profile: str, tier: Tier, before: int) -> int:
        """Drop what is older, as processor does when it is not to be kept for longer."""
        store = SqliteStore(self.path, 1)
        dropped = store.drop(profile, tier, before)
        store.close()
        return dropped


@pytest.fixture
def store(tmp_path: Path) -> StoreFile:
    """Give a store that is not there until something is written."""
    return StoreFile(tmp_path / "timeseries.sqlite3")


class FakeLetters:
    """Dead letters in a dictionary, and what was handed to ingest in a list."""

    def __init__(self) -> None:
        self.letters: dict[int, DeadLetter] = {}
        self.replayed: list[tuple[DeadLetter, Edit | None]] = []
        self.away = False

    async def page(self, below: int | None, limit: int, selection: Selection) -> Page:
        if self.away:
            raise UnavailableError("stream server")
        found = [
            (n, letter)
            for n, letter in sorted(self.letters.items(), reverse=True)
            if (below is None or n < below) and selection.takes(letter)
        ]
        return Page(found[:limit], found[limit - 1][0] if len(found) > limit else None)

    async def get(self, sequence: int) -> DeadLetter | None:
        return self.letters.get(sequence)

    async def replay(self, sequence: int, edit: Edit | None = None) -> bool:
        if sequence not in self.letters:
            return False
        if self.letters[sequence].service != "ingest":
            raise NotReplayableError("devices_api rejected it, not ingest")
        self.replayed.append((self.letters.pop(sequence), edit))
        return True

    async def discard(self, sequence: int) -> bool:
        return self.letters.pop(sequence, None) is not None

    async def replay_all(self, selection: Selection, rest: Rest | None, limit: int) -> Sweep:
        sweep = Sweep()
        for n in self._selected(selection, rest):
            if sweep.done + sweep.skipped == limit:
                sweep.rest = n, max(self.letters)
                break
            if self.letters[n].service == "ingest" and self.letters[n].reason != Reason.EDITED:
                sweep.done += await self.replay(n)
            else:
                sweep.skipped += 1
        return sweep

    async def discard_all(self, selection: Selection, rest: Rest | None, limit: int) -> Sweep:
        selected = self._selected(selection, rest)
        for n in selected[:limit]:
            del self.letters[n]
        return Sweep(len(selected[:limit]), 0, (selected[limit], max(self.letters)) if len(selected) > limit else None)

    def _selected(self, selection: Selection, rest: Rest | None) -> list[int]:
        first, last = rest or (0, 1 << 63)
        return [n for n, letter in sorted(self.letters.items()) if first <= n <= last and selection.takes(letter)]


async def no_failures(_: Profile) -> dict[str, ComputedFailure]:
    """Tell of no computed metric that fails."""
    return {}


class Clock:
    """Time that stands until it is moved, as ns since 1970 and as s of a clock that never goes back."""

    def __init__(self) -> None:
        self.passed = 0.0

    def now(self) -> int:
        return NOW + round(self.passed * SECOND)

    def monotonic(self) -> float:
        return self.passed


class Service:
    """The API with what it stands on."""

    def __init__(
        self,
        registry: Repository,
        store: StoreFile,
        *,
        rate: str = "",
        failures: str = "",
        tokens: Tokens | None = None,
        origins: Sequence[str] = (),
    ) -> None:
        self.registry: Repository | None = registry
        self.clock = Clock()
        self.letters = FakeLetters()
        self.failures: dict[str, ComputedFailure] | None = {}
        self.timeseries = SqliteTimeSeries(store.path)
        self.metrics = Metrics(lambda: True)
        self.changes = 0
        self.keyring = Keyring(self._registry, self.clock.now, self.clock.monotonic)
        tickets = Tickets(self._registry, self.keyring, secrets.token_bytes, self.clock.now)
        self.passwords = Passwords(self.clock.monotonic, secrets.token_bytes)
        self.identity = Identity.on(
            registry,
            self.passwords,
            self.metrics,
            mirror=None,
            now=self.clock.now,
            entropy=secrets.token_bytes,
            registered=self._changed,
            limit=1000,
        )
        self.app = SharedApp(
            api.Parts(
                self._registry,
                self.timeseries,
                cast("DeadLetters", self.letters),
                self._failures,
                self.metrics,
                idle_hub(),
                lambda _, __: None,
                changed=self._changed,
                now=self.clock.now,
                authenticate=Authentication(
                    KEY,
                    self.keyring,
                    tickets,
                    tokens,
                    self.metrics,
                    rate=parse_rate(rate),
                    failures=parse_rate(failures),
                    clock=self.clock.monotonic,
                ),
                keyring=self.keyring,
                tickets=tickets,
                random_bytes=secrets.token_bytes,
                identity=lambda: self.identity,
                broker_key=BROKER_KEY,
                broker_cert_login=True,
                origins=tuple(origins),
            ),
            api.build,
        )
        self.client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://api/api/v1",
            headers={"Authorization": f"Bearer {KEY}"},
        )

    def asking(self, key: str) -> httpx.AsyncClient:
        """Give a client with another key; with none, for an empty one."""
        headers = {b"Authorization": f"Bearer {key}".encode()} if key else {}
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app), base_url=self.client.base_url, headers=headers
        )

    def metric(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"devices_api_{name}", labels) or 0.0

    def _registry(self) -> Repository:
        if self.registry is None:
            raise UnavailableError("database")
        return self.registry

    async def _failures(self, _: Profile) -> dict[str, ComputedFailure]:
        if self.failures is None:
            raise UnavailableError("stream server")
        return self.failures

    def _changed(self) -> None:
        self.changes += 1

    async def get(self, path: str, **query: str | int | list[str]) -> Any:  # noqa: ANN401 - whatever the API answers
        answer = await self.client.get(path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def service(registry: Repository, store: StoreFile) -> AsyncIterator[Service]:
    service = Service(registry, store)
    yield service
    await service.client.aclose()
    await service.timeseries.close()
    service.passwords.close()


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and slug of an error, which has to be a problem document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body.keys() >= {"type", "title", "status", "detail"}
    assert body["status"] == answer.status_code
    return answer.status_code, body["type"].rpartition(":")[2]

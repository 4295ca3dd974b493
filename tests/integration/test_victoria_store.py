"""What VictoriaMetrics does with what it is sent, and what happens when it is away, lies, or is not as it should be."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from contracts.readings import Reading
from contracts.timeseries import HOUR, MINUTE, ROLLUPS, Days, Tier
from contracts.victoria_layout import TICK
from processor.engine import Engine, Written
from processor.store import StoreUnavailableError
from processor.victoria import VictoriaStore
from processor.victoria_client import Access, VictoriaClient
from tests.conftest import Server
from tests.stores.oracle import rollups_of
from tests.stores.reading_back_victoria import exported, of_victoria, point_differences, rollup_differences
from tests.stores.victoria_server import now, store_at, url_of, victoria_server

BEGIN = 1_774_742_400_000_000_000
DAYS = Days()


Open = Callable[[str], Engine]


@pytest.fixture
def engine_at() -> Iterator[Open]:
    """Give engines that are closed when the test ends."""
    with ExitStack() as stack:

        def opened(url: str) -> Engine:
            engine = Engine(store_at(url, timeout=2.0), 1000, lambda _: DAYS, TICK)
            stack.callback(engine.close)
            return engine

        yield opened


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with victoria_server() as server:
        yield server


def reading(device: str, offset: int, *, profile: str = "default", **values: float | bool | str) -> Reading:
    return Reading(device, BEGIN + offset, 1, values, {}, profile)


def write(engine: Engine, *readings: Reading, epoch: int = 1) -> Written:
    return engine.write([(0, readings)], {0: epoch})


def check(server: Server, device: str, readings: list[Reading]) -> None:
    """Whether there are exactly the points of these readings, of which none is there twice, and their windows."""
    points, rollups = of_victoria(url_of(server), DAYS, f"{device}.*")
    sent = {
        ((one.profile, one.device, metric, value.__class__), one.ts // TICK * TICK): value
        for one in readings
        for metric, value in one.values.items()
    }
    assert not point_differences(points, sent)
    assert not rollup_differences(rollups, rollups_of(sent, DAYS))


def test_every_name_comes_back_as_it_was(server: Server, engine_at: Open) -> None:
    names = [
        "a b",
        "a,b",
        "a=b",
        'a"b',
        "a\\b",
        "a\nb",
        "ä-€-🙂",
        "#a",
        "_a",
        "time",
        "%25",
        "100%",
        "a:text",
        "a:1m",
        "",
    ]
    names += ["a'b", "(a|b)*", "[a]", "{a}", "a.b", "a+", "$a", "^a", "-a", "a/b", "\x7f", "profile", "device", "text"]
    sent = [
        Reading(f"names-{name}", BEGIN + at, 1, {name: 1.5, f"{name} b": True, f"{name} t": name}, {"clock": "1"}, name)
        for name in names
        for at in (0, MINUTE)
    ]
    written = write(engine_at(url_of(server)), *sent)
    assert not written.refused
    check(server, "names-", sent)
    again = write(engine_at(url_of(server)), *sent)
    assert again.points == 3 * len(sent)
    check(server, "names-", sent)


def test_profiles_and_metrics_whose_joined_names_are_the_same_stay_apart(server: Server, engine_at: Open) -> None:
    sent = [reading("joined", 0, profile="a_b", c=1.0), reading("joined", 0, profile="a", b_c=2.0)]
    write(engine_at(url_of(server)), *sent)
    check(server, "joined", sent)


def test_a_corrected_point_counts_if_it_is_larger_and_its_windows_follow(server: Server, engine_at: Open) -> None:
    engine = engine_at(url_of(server))
    others = [reading("corrected", offset * TICK, m=float(offset)) for offset in range(1, 9)]
    closing = reading("corrected", 26 * HOUR, m=0.0)
    write(engine, *others, reading("corrected", 20 * TICK, m=5.0), closing)
    write(engine, reading("corrected", 20 * TICK, m=4.0))
    check(server, "corrected", [*others, reading("corrected", 20 * TICK, m=5.0), closing])
    write(engine, reading("corrected", 20 * TICK, m=4.5))
    write(engine, reading("corrected", 20 * TICK, m=6.0))
    check(server, "corrected", [*others, reading("corrected", 20 * TICK, m=6.0), closing])


def test_points_that_come_again_add_no_rows(server: Server, engine_at: Open) -> None:
    sent = [reading("again", offset * MINUTE, m=float(offset), b=True) for offset in range(3)]
    write(engine_at(url_of(server)), *sent)
    before = _rows(server)
    for epoch in (2, 3):
        write(engine_at(url_of(server)), *sent, epoch=epoch)
    assert _rows(server) == before
    check(server, "again", sent)


def _rows(server: Server) -> int:
    return sum(
        len({at for at, _ in samples})
        for labels, samples in exported(url_of(server), "again")
        if any(f":{tier}_" in labels["__name__"] for tier in ROLLUPS)
    )


def test_of_two_owners_the_one_who_does_not_know_changes_nothing(server: Server, engine_at: Open) -> None:
    old, new = engine_at(url_of(server)), engine_at(url_of(server))
    sent = [reading("owners", offset * TICK, m=float(offset)) for offset in range(0, 40, 2)]
    write(old, *sent)
    more = [reading("owners", offset * TICK, m=float(-offset)) for offset in range(1, 41, 2)]
    closing = reading("owners", 25 * HOUR, m=1.0)
    write(new, *more, closing, epoch=2)
    write(old, closing)  # closes all windows without what the new owner has written
    check(server, "owners", [*sent, *more, closing])


def test_what_the_server_would_leave_out_is_refused_and_its_neighbours_are_kept(
    server: Server, engine_at: Open
) -> None:
    engine = engine_at(url_of(server))
    good = [reading("refused", 0, m=1.0, t="t" * 256), reading("refused", MINUTE, m=2.0)]
    future = Reading("refused", now() + 3 * 24 * HOUR, 1, {"m": 9.0}, {})
    before_1970 = Reading("refused", -1, 1, {"m": 9.0}, {})
    written = write(engine, good[0], reading("refused", 1, t="t" * 257), future, before_1970, good[1])
    assert [one.ts for _, one, _ in written.refused] == [BEGIN + 1, future.ts, -1]
    check(server, "refused", good)


def test_a_server_that_is_away_takes_nothing_and_has_everything_when_it_is_back(engine_at: Open) -> None:
    with victoria_server() as server:
        engine = engine_at(url_of(server))
        sent = [reading("away", offset * MINUTE, m=float(offset)) for offset in range(5)]
        write(engine, *sent[:2])
        server.kill()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="http:"):
                write(engine, *sent[2:4])
        server.start()
        write(engine, *sent[2:4])
        write(engine, sent[4])
        check(server, "away", sent)


def test_what_a_server_wrote_before_it_timed_out_is_there_once(server: Server, engine_at: Open) -> None:
    with _proxy(server) as (port, swallow):
        engine = engine_at(f"http://127.0.0.1:{port}")
        sent = [reading("slow", offset * MINUTE, m=float(offset)) for offset in range(4)]
        write(engine, *sent[:2])
        swallow.set()
        with pytest.raises(StoreUnavailableError, match="timed out"):
            write(engine, *sent)
        swallow.clear()
        write(engine, *sent)
        check(server, "slow", sent)


class _proxy:  # noqa: N801 - used as a function
    """Passes on what it is sent; while `swallow` is set, the answers to writes are kept back."""

    def __init__(self, server: Server) -> None:
        self._to = server.port
        self._swallow = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> tuple[int, threading.Event]:
        threading.Thread(target=self._accept, daemon=True).start()
        return self._listener.getsockname()[1], self._swallow

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._to))
            threading.Thread(target=self._pass, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, True), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, answers: bool) -> None:  # noqa: FBT001 - private
        while True:
            try:
                data = source.recv(65536)
                if answers and b"204 No Content" in data and self._swallow.is_set():
                    continue
                target.sendall(data)
            except OSError:
                data = b""
            if not data:
                target.close()
                return


def test_a_full_disk_is_said_and_holds_the_write(engine_at: Open) -> None:
    flags = ["-retentionPeriod=100y", "-storage.minFreeDiskSpaceBytes=1000000000000000"]
    with victoria_server(*flags) as server, pytest.raises(StoreUnavailableError, match="http:"):
        write(engine_at(url_of(server)), reading("full", 0, m=1.0))


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["-retentionPeriod=1"], "-retentionPeriod=1, but profiles keep data for 40 days"),
        (["-retentionPeriod=5w"], "start it with -retentionPeriod=40d"),
        (["-retentionPeriod=1y", "-dedup.minScrapeInterval=30s"], "-dedup.minScrapeInterval=30s"),
        (["-retentionPeriod=1y", "-influxMeasurementFieldSeparator=."], "-influxMeasurementFieldSeparator"),
        (["-retentionPeriod=1y", "-storage.maxDailySeries=10"], "-storage.maxDailySeries=10"),
    ],
)
def test_a_server_that_would_lose_something_silently_is_refused(flags: list[str], says: str) -> None:
    with victoria_server(*flags) as server:
        client = VictoriaClient(url_of(server), Access(), 5.0)
        store = VictoriaStore(client, now, lambda: 40 * 24 * HOUR)
        with pytest.raises(StoreUnavailableError) as caught:
            store.open()
        assert says in str(caught.value)
        store.close()


def test_a_password_is_used_and_never_shown() -> None:
    flags = ["-retentionPeriod=1y", "-httpAuth.username=me", "-httpAuth.password=pass-word"]
    with victoria_server(*flags) as server:
        for password, fails in (("other-word", True), ("pass-word", False)):
            store = VictoriaStore(VictoriaClient(url_of(server), Access("me", password), 5.0), now)
            engine = Engine(store, 1000, lambda _: DAYS, TICK)
            if fails:
                with pytest.raises(StoreUnavailableError, match="401") as caught:
                    write(engine, reading("secret", 0, m=1.0))
                assert "word" not in str(caught.value)
            else:
                write(engine, reading("secret", 0, m=1.0))
            engine.close()


def test_nothing_is_dropped_since_the_server_cannot(server: Server) -> None:
    assert store_at(url_of(server)).drop("default", Tier.RAW, now()) == 0

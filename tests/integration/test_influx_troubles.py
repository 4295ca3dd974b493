"""What InfluxDB answers, or does not, and what becomes of the points then."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from contracts.readings import Reading, Value
from contracts.timeseries import MINUTE, Days
from processor.engine import Engine, Written
from processor.influx import InfluxStore
from processor.influx_client import InfluxClient
from processor.store import StoreUnavailableError
from tests.conftest import free_port
from tests.stores import reading_back
from tests.stores.influx_law import Bucket, TroubledLaw
from tests.stores.influx_server import BUCKET, TOKEN, InfluxServer, Trouble
from tests.stores.law import BEGIN
from tests.stores.oracle import Name, differences, rollups_of


class Writer:
    """A processor that writes to the layer; each test has a profile of its own."""

    def __init__(self, server: InfluxServer, profile: str) -> None:
        self.server, self.profile = server, profile
        self.store = InfluxStore(server.url, TOKEN, "plant", BUCKET, timeout=0.5)
        self.engine = Engine(self.store, 1000, lambda _: Days())
        self.client = InfluxClient(server.url, TOKEN, "plant", BUCKET, timeout=30)
        self.points: dict[tuple[Name, int], Value] = {}

    def reading(self, offset: int, values: dict[str, Value], device: str = "d") -> Reading:
        return Reading(device, BEGIN + offset, 1, values, {}, self.profile)

    def write(self, group: list[Reading]) -> Written:
        written = self.engine.write([(0, group)], {0: 1})
        refused = [reading for _, reading, _ in written.refused]
        for reading in group:
            for metric, value in reading.values.items():
                if reading not in refused:
                    self.points[(self.profile, reading.device, metric, value.__class__), reading.ts] = value
        return written

    def check(self) -> None:
        points, rollups = reading_back.of_influx(self.client.query, [self.profile])
        assert points == self.points
        assert not differences(rollups, rollups_of(points, Days()))

    def close(self) -> None:
        self.engine.close()
        self.client.close()


@pytest.fixture
def writer(influx: InfluxServer, request: pytest.FixtureRequest) -> Iterator[Writer]:
    writer = Writer(influx, request.node.name)
    yield writer
    writer.close()


TROUBLES = {
    "refuses": Trouble(503),
    "is broken": Trouble(500),
    "is broken after writing": Trouble(500, written=True),
    "says nothing": Trouble(),
    "says nothing after writing": Trouble(written=True),
    "says that it will": Trouble(202, written=True),
}


@pytest.mark.parametrize("trouble", TROUBLES.values(), ids=TROUBLES)
@pytest.mark.parametrize("at", ["points", "windows"])
def test_nothing_is_lost_or_counted_twice_when_the_server(writer: Writer, trouble: Trouble, at: str) -> None:
    writer.write([writer.reading(offset, {"m": 1.5, "on": True}) for offset in (1, 5)])
    group = [writer.reading(offset, {"m": 2.5, "s": "x"}) for offset in (3, 7, MINUTE)]
    writer.server.troubles, writer.server.spared = [trouble], int(at == "windows")
    with pytest.raises(StoreUnavailableError):
        writer.write(group)
    writer.write(group)
    writer.write([writer.reading(MINUTE + 5, {"m": 3.5})])
    writer.check()


def test_a_server_that_asks_for_patience_is_left_alone_for_as_long(writer: Writer) -> None:
    writer.server.troubles = [Trouble(429, {"Retry-After": "7"}), Trouble(503, {"Retry-After": "never"})]
    for wait in (7.0, 0.0):
        with pytest.raises(StoreUnavailableError) as caught:
            writer.write([writer.reading(1, {"m": 1.0})])
        assert caught.value.wait == wait


def test_what_is_too_large_is_divided(writer: Writer) -> None:
    writer.server.most_bytes = 2_000
    writer.write([writer.reading(offset, {"m": float(offset)}, f"d{offset % 20}") for offset in range(200)])
    writer.check()
    assert writer.server.writes > 10


def test_a_reading_that_no_request_can_hold_is_refused(writer: Writer) -> None:
    writer.server.most_bytes = 2_000
    written = writer.write([writer.reading(1, {"m": 1.0}), writer.reading(2, {"s": "x" * 3_000})])
    assert [reading.ts for _, reading, _ in written.refused] == [BEGIN + 2]
    writer.check()


def test_the_culprits_are_found_and_the_rest_is_stored(writer: Writer) -> None:
    # Somebody else has written another type than ours.
    writer.client.write(f'{writer.profile},device=z bad="text" {BEGIN}\n'.encode())
    group = [writer.reading(offset, {"m": 1.0, "n": 2.0}, f"d{offset % 3}") for offset in range(100)]
    for culprit in (0, 13, 14, 57, 99):
        group[culprit] = writer.reading(culprit, {"m": 1.0, "bad": 1.0}, f"d{culprit % 3}")
    written = writer.write(group)
    assert sorted(reading.ts - BEGIN for _, reading, _ in written.refused) == [0, 13, 14, 57, 99]
    assert all("field type conflict" in detail for _, _, detail in written.refused)
    writer.client.query(f"DROP SERIES FROM \"{writer.profile}\" WHERE device = 'z'")
    writer.check()


def test_many_culprits_are_found_with_few_requests(writer: Writer) -> None:
    writer.client.write(f'{writer.profile},device=z bad="text" {BEGIN}\n'.encode())
    before = writer.server.writes
    group = [writer.reading(offset, {"bad": 1.0}) for offset in range(500)]
    assert len(writer.write(group).refused) == 500
    assert writer.server.writes - before < 5


def test_a_time_that_the_server_cannot_hold_is_refused(writer: Writer) -> None:
    last = Reading("d", (1 << 63) - 1, 1, {"m": 1.0}, {}, writer.profile)
    written = writer.write([writer.reading(1, {"m": 1.0}), last])
    assert [reading for _, reading, _ in written.refused] == [last]
    writer.check()


def test_the_last_of_several_points_with_one_time_counts(writer: Writer) -> None:
    writer.write([writer.reading(1, {"m": value}) for value in (1.0, 3.0, 2.0)])
    writer.check()
    assert list(writer.points.values()) == [2.0]


def test_what_the_server_does_long_after_it_was_asked_overwrites_nothing(writer: Writer) -> None:
    writer.write([writer.reading(1, {"m": 1.0})])
    writer.server.troubles, writer.server.spared = [Trouble(later=True)], 1
    group = [writer.reading(2, {"m": 2.0})]
    with pytest.raises(StoreUnavailableError):
        writer.write(group)
    writer.write(group)
    writer.write([writer.reading(3, {"m": 3.0})])
    writer.server.deliver()
    writer.check()


@pytest.mark.parametrize(
    ("token", "bucket", "advice"),
    [
        ("another-token", BUCKET, "give processor a token that may read and write the bucket 'telemetry'"),
        (TOKEN, "nowhere", "make the bucket 'nowhere' in the organisation 'plant'"),
    ],
)
def test_an_operator_is_told_what_to_do_and_no_token(
    influx: InfluxServer, token: str, bucket: str, advice: str
) -> None:
    store = InfluxStore(influx.url, token, "plant", bucket)
    client = InfluxClient(influx.url, token, "plant", bucket, timeout=5)
    for attempt in (store.open, lambda: client.write(b"m,device=d x=1 1\n")):
        with pytest.raises(StoreUnavailableError) as caught:
            attempt()
        assert advice in str(caught.value)
        assert token not in str(caught.value)
    store.close()
    client.close()


@pytest.mark.parametrize("examples", [5, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_the_law_holds_through_failures(influx: InfluxServer, examples: int) -> None:
    bucket = Bucket(influx.url, TOKEN, "plant", BUCKET)
    machine: type[TroubledLaw] = type("TroubledLaw", (TroubledLaw,), {"bucket": bucket, "server": influx})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=10, deadline=None))


def test_a_server_that_is_away_is_waited_for() -> None:
    store = InfluxStore(f"http://127.0.0.1:{free_port()}", TOKEN, "plant", BUCKET)
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        store.open()
    store.close()

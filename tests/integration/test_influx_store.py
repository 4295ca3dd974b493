"""The law, and every name and value, in real InfluxDB servers; see `bucket` for which."""

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker  # type: ignore[import-untyped]  # it has no stubs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from contracts.readings import Reading, Value
from contracts.timeseries import DAY, HOUR, MINUTE, Days, Tier
from processor.engine import Engine
from processor.influx import InfluxStore
from processor.store import StoreUnavailableError
from tests.conftest import free_port
from tests.stores.influx_law import Bucket, InfluxLaw
from tests.stores.influx_server import BUCKET, TOKEN, influxdb_server
from tests.stores.law import BEGIN
from tests.stores.oracle import Name, differences, rollups_of


@pytest.fixture(scope="module", params=["debian", "given", "docker"])
def bucket(request: pytest.FixtureRequest) -> Iterator[Bucket]:
    """Give a bucket of Debian's server, of the one that TEST_INFLUXDB_URL names, and of 2.7 where there is Docker."""
    if request.param == "given":
        if "TEST_INFLUXDB_URL" not in os.environ:
            pytest.skip("TEST_INFLUXDB_URL, _TOKEN, _ORG and _BUCKET name no server")
        yield Bucket(*(os.environ[f"TEST_INFLUXDB_{name}"] for name in ("URL", "TOKEN", "ORG", "BUCKET")))
    elif request.param == "docker":
        yield from in_docker()
    else:
        with influxdb_server(request.getfixturevalue("influxdb")) as server:
            yield Bucket(server.url, TOKEN, "plant", BUCKET)


def in_docker() -> Iterator[Bucket]:
    if not Path("/var/run/docker.sock").is_socket() and "DOCKER_HOST" not in os.environ:
        pytest.skip("there is no Docker engine to run influxdb:2.7 in")
    engine = docker.from_env(timeout=10)
    port = free_port()
    setup = {
        "MODE": "setup",
        "USERNAME": "someone",
        "PASSWORD": TOKEN,
        "ORG": "plant",
        "BUCKET": BUCKET,
        "ADMIN_TOKEN": TOKEN,
    }
    container = engine.containers.run(
        "influxdb:2.7",
        environment={f"DOCKER_INFLUXDB_INIT_{name}": value for name, value in setup.items()},
        ports={"8086/tcp": ("127.0.0.1", port)},
        detach=True,
        remove=True,
    )
    try:
        made = Bucket(f"http://127.0.0.1:{port}", TOKEN, "plant", BUCKET)
        deadline = time.monotonic() + 60
        while not is_open(made.store()):
            assert time.monotonic() < deadline
        yield made
    finally:
        container.kill()
        engine.close()


def is_open(store: InfluxStore) -> bool:
    try:
        store.open()
    except StoreUnavailableError:
        time.sleep(0.2)
        return False
    finally:
        store.close()
    return True


@pytest.mark.parametrize("zone", ["", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize("examples", [5, pytest.param(50, marks=[pytest.mark.soak, pytest.mark.timeout(600)])])
def test_the_law_holds_in_influxdb(bucket: Bucket, zone: str, examples: int) -> None:
    machine: type[InfluxLaw] = type("InfluxLaw", (InfluxLaw,), {"zone": zone, "bucket": bucket})
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=10, deadline=None))


ODD = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(" ,=\"'\\%\n\r\t\0\x7f\u2028"), max_size=6)
NAMES = st.sampled_from(["time", "device", "_x", "#", "m:text", "flags:json", "%5C", "a\\", ""]) | ODD


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(
            NAMES,
            st.dictionaries(
                NAMES, st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | ODD, min_size=1, max_size=4
            ),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda item: item[0],
    )
)
def test_every_name_and_value_comes_back(bucket: Bucket, sent: list[tuple[str, dict[str, Value]]]) -> None:
    profile = f"#\\odd, =\"'{uuid.uuid4().hex}:1m"
    engine = Engine(bucket.store(), 1000, lambda _: Days())
    group = [Reading(device, BEGIN, 1, values, {"clock": '"\n'}, profile) for device, values in sent]
    engine.write([(0, group)], {0: 1})
    engine.close()
    points, _ = bucket.read_back(profile)
    assert points == {
        ((profile, device, metric, value.__class__), BEGIN): value
        for device, values in sent
        for metric, value in values.items()
    }


def test_what_is_too_old_is_dropped_by_profile_and_tier(bucket: Bucket) -> None:
    profile, other = f"p{uuid.uuid4().hex}", f"q{uuid.uuid4().hex}"
    store = bucket.store()
    engine = Engine(store, 1000, lambda _: Days())
    times = [BEGIN + day * DAY + HOUR for day in range(5)]
    engine.write(
        [(0, [Reading("d", ts, 1, {"m": 1.0}, {}, name) for ts in times for name in (profile, other)])], {0: 1}
    )
    before = BEGIN + 3 * DAY + MINUTE
    assert store.drop(profile, Tier.RAW, before) == 1
    assert store.drop(profile, Tier.D1, before) == 1
    assert store.drop(profile, Tier.D1, before) == 0
    points, rollups = bucket.read_back(profile)
    assert sorted(ts for _, ts in points) == times[3:]
    assert sorted(start for tier, _, start in rollups if tier is Tier.D1) == [BEGIN + day * DAY for day in (2, 3, 4)]
    assert len([tier for tier, _, _ in rollups if tier is Tier.M1]) == 5
    assert len(bucket.read_back(other)[0]) == 5
    engine.close()


def test_an_owner_that_does_not_know_that_it_is_none_changes_nothing(bucket: Bucket) -> None:
    profile = f"p{uuid.uuid4().hex}"

    def reading(offset: int, value: float) -> Reading:
        return Reading("d", BEGIN + offset, 1, {"m": value}, {}, profile)

    old, new = (Engine(bucket.store(), 1000, lambda _: Days()) for _ in range(2))
    sent = [reading(1, 1.0)]
    old.write([(0, sent)], {0: 1})
    group = [reading(2, 2.0), reading(3, 3.0)]
    new.write([(0, group)], {0: 2})
    # The older owner has not seen those, and what it writes comes again to the newer one.
    late = [reading(5, 5.0), reading(MINUTE + 1, 6.0)]
    old.write([(0, late)], {0: 1})
    again = [reading(4, 4.0), *late]
    new.write([(0, again)], {0: 2})
    old.close()
    new.close()
    expected: dict[tuple[Name, int], Value] = {
        ((profile, "d", "m", float), one.ts): value for one in [*sent, *group, *again] for value in one.values.values()
    }
    points, rollups = bucket.read_back(profile)
    assert points == expected
    assert not differences(rollups, rollups_of(expected, Days()))

"""The law over buckets of real InfluxDB servers."""

import contextlib
import uuid
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from contracts.deletions import Deletion
from contracts.readings import Reading, Value
from processor.engine import Engine
from processor.influx import InfluxStore
from processor.influx_client import InfluxClient
from processor.store import Store, StoreUnavailableError
from tests.stores import reading_back
from tests.stores.influx_server import InfluxServer, Trouble
from tests.stores.law import Law, groups
from tests.stores.oracle import Name, Rollups

_TRIES = 20


class Bucket(NamedTuple):
    """Where to write."""

    url: str
    token: str
    org: str
    name: str

    def store(self, timeout: float = 30.0) -> InfluxStore:
        return InfluxStore(*self, timeout)

    def read_back(self, *profiles: str) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        client = InfluxClient(*self, timeout=30)
        try:
            return reading_back.of_influx(client.query, profiles)
        finally:
            client.close()


class InfluxLaw(Law):
    """Each machine has profiles of its own."""

    bucket: Bucket

    def prepare(self) -> None:
        self.suffix = uuid.uuid4().hex

    def new_store(self) -> Store:
        return self.bucket.store()

    def adapted(self, reading: Reading) -> Reading:
        device, profile = reading.device + self.suffix, reading.profile + self.suffix
        return msgspec.structs.replace(reading, device=device, profile=profile)

    def adapted_deletion(self, deletion: Deletion) -> Deletion:
        return msgspec.structs.replace(deletion, device=deletion.device + self.suffix, metrics=[])

    def read_back(self) -> tuple[dict[tuple[Name, int], Value], Rollups]:
        return self.bucket.read_back("default" + self.suffix, "pump" + self.suffix)


class TroubledLaw(InfluxLaw):
    """What failed half-way is written again, before anything else, as the stream does it."""

    server: InfluxServer

    def new_store(self) -> Store:
        return self.bucket.store(timeout=0.5)

    def write(self, engine: Engine, group: list[Reading]) -> None:
        """Write until it is done: on a busy machine a server in no trouble may take longer than the timeout."""
        for _ in range(_TRIES):
            with contextlib.suppress(StoreUnavailableError):
                return super().write(engine, group)
        return super().write(engine, group)

    def delete(self, engine: Engine, deletion: Deletion, *, again: bool = False) -> None:
        """Delete until it is done, as above."""
        for number in range(_TRIES):
            with contextlib.suppress(StoreUnavailableError):
                return super().delete(engine, deletion, again=again or number > 0)
        return super().delete(engine, deletion, again=True)

    @rule(
        group=groups,
        trouble=st.sampled_from([Trouble(503), Trouble(500, written=True), Trouble(written=True), Trouble(later=True)]),
        spared=st.integers(0, 2),
        restart=st.booleans(),
    )
    def the_server_fails_half_way(self, group: list[Reading], trouble: Trouble, spared: int, *, restart: bool) -> None:
        self.server.troubles, self.server.spared = [trouble], spared
        try:
            super().write(self.engine, group)
        except StoreUnavailableError:
            pass
        finally:
            self.server.troubles, self.server.spared = [], 0
        if restart:
            self.engine.close()
            self.engine = self.new_engine()
        self.write(self.engine, group)
        self.log.append(group)

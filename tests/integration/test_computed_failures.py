"""A computed metric that fails, from processor over the real stream server to the profile in devices_api."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts import logs
from contracts.backoff import end
from contracts.computed import failure_key
from contracts.jetstream import Link, ensure_bucket
from contracts.streams import FAILURES_BUCKET
from processor.computed import Computed
from processor.failures import Failures
from processor.metrics import Metrics
from tests.conftest import TOKEN, Server
from tests.integration.registry_service import Service, until

NOW = 1_767_225_600_000_000_000
EVERY_S = 0.02
TEXTS = {"power": "u * i", "ratio": "u / i", "load.%": "u + mode"}


class Processor:
    """What of a processor computes and tells."""

    def __init__(self, link: Link) -> None:
        self.metrics, self.now = Metrics(), NOW
        self.failures = Failures(link, self.metrics, lambda: self.now, logs.quiet(), every=EVERY_S)

    def take(self, device: str, profile: str = "pump", texts: dict[str, str] | None = None, **own: float | str) -> None:
        expressions = TEXTS if texts is None else texts
        values, errors = Computed(expressions).evaluate(own, {}, {}, self.now)
        self.failures.note(profile, expressions, device, values, errors)


@contextlib.asynccontextmanager
async def processing(stream: Server) -> AsyncIterator[Processor]:
    link = await Link(stream.nats_url, TOKEN, "processor", logs.quiet()).connect()
    processor = Processor(link)
    running = asyncio.create_task(processor.failures.run())
    try:
        yield processor
    finally:
        await end([running])
        await link.close()


async def failing(service: Service, profile: str = "pump") -> Any:  # noqa: ANN401 - whatever the API answers
    return (await service.get(f"/profiles/{profile}"))["failing"]


async def shows(service: Service, *metrics: str) -> None:
    async def told() -> bool:
        return (await failing(service) or {}).keys() == set(metrics)

    await until(told, f"what fails is {metrics}")


async def put(service: Service, computed: dict[str, str]) -> None:
    assert (await service.client.put("/profiles/pump", json={"computed": computed})).status_code in (200, 201)


async def test_a_failing_expression_is_shown_on_its_profile_until_it_works_again(
    stream: Server, service: Service
) -> None:
    await put(service, TEXTS)
    assert await failing(service) == {}, "there is no bucket yet"
    async with processing(stream) as processor:
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
        assert await failing(service) == {
            "ratio": {
                "error": "the result is no finite number: a division by zero, or too large",
                "device": "d",
                "since": "2026-01-01T00:00:00.000000000Z",
                "last": "2026-01-01T00:00:00.000000000Z",
                "count": 1,
            }
        }
        processor.take("e", u=1.0, i=2.0, mode="idle")
        await shows(service, "ratio", "load.%")
        processor.take("d", u=1.0, i=2.0)
        await shows(service, "load.%")
        assert processor.metrics.registry.get_sample_value("processor_computed_failures_total") == 2


async def test_what_failed_before_a_restart_is_known_after_it(stream: Server, service: Service) -> None:
    await put(service, TEXTS)
    async with processing(stream) as processor:
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
    async with processing(stream) as processor:
        processor.now += 10**9
        processor.take("e", u=1.0, i=0.0)

        async def both() -> bool:
            return bool((await failing(service))["ratio"]["count"] == 2)

        await until(both, "the count goes on")
        assert (await failing(service))["ratio"]["since"] == "2026-01-01T00:00:00.000000000Z"
        processor.take("e", u=1.0, i=1.0)
        await shows(service)


async def test_what_one_processor_takes_back_another_tells_again(stream: Server, service: Service) -> None:
    await put(service, TEXTS)
    async with processing(stream) as one, processing(stream) as other:
        one.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
        other.take("e", u=1.0, i=0.0)

        async def both() -> bool:
            return bool((await failing(service))["ratio"]["device"] == "e")

        await until(both, "the other one's is shown")
        one.take("d", u=1.0, i=1.0)
        await shows(service)
        other.take("e", u=1.0, i=0.0)
        await shows(service, "ratio")
        other.take("e", u=1.0, i=1.0)
        await shows(service)


async def test_a_failure_of_an_expression_that_the_profile_has_no_more_is_not_shown(
    stream: Server, service: Service
) -> None:
    await put(service, TEXTS)
    async with processing(stream) as processor:
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
        await put(service, TEXTS | {"ratio": "i == 0 ? null : u / i"})
        await shows(service)


async def test_a_bucket_that_is_lost_is_made_and_filled_anew(stream: Server, service: Service) -> None:
    await put(service, TEXTS)
    async with processing(stream) as processor:
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
        link = await Link(stream.nats_url, TOKEN, "peer", logs.quiet()).connect()
        await link.js.delete_key_value(FAILURES_BUCKET)
        assert await failing(service) == {}
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
        await link.close()


async def test_what_is_unreadable_in_the_bucket_is_passed_over(stream: Server, service: Service, peer: Link) -> None:
    await put(service, TEXTS)
    bucket = await ensure_bucket(peer.js, FAILURES_BUCKET)
    await bucket.put(failure_key("pump", "ratio"), b"{")
    assert await failing(service) == {}
    async with processing(stream) as processor:
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")


async def test_without_the_stream_server_a_profile_is_shown_without_what_fails(
    stream: Server, service: Service
) -> None:
    await put(service, TEXTS)
    async with processing(stream) as processor:
        processor.take("d", u=1.0, i=0.0)
        await shows(service, "ratio")
        stream.kill()
        await until(lambda: not service.app._stream.link.up, "it is noticed")  # noqa: SLF001 - nothing shows it sooner
        assert await failing(service) is None
        processor.take("e", u=1.0, i=0.0)
        stream.start()
        await shows(service, "ratio")


@pytest.mark.parametrize("profile", ["größe 1", "a.b", "*", ">"])
async def test_any_name_of_a_profile_or_metric_can_be_told(stream: Server, service: Service, profile: str) -> None:
    texts = {profile: "u / i"}
    assert (await service.client.put(f"/profiles/{profile}", json={"computed": texts})).status_code == 201
    async with processing(stream) as processor:
        processor.take("d", profile, texts, u=1.0, i=0.0)

        async def told() -> bool:
            return list(await failing(service, profile) or {}) == [profile]

        await until(told, "it is told")

"""Two replicas of alerting on one PostgreSQL and one stream server: each alert once, also when one is killed."""

from collections import Counter
from pathlib import Path

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.conftest import Server, free_port
from tests.integration.alerting_service import benching, receiving, until
from tests.integration.test_alerting_flow import Process, ready

DEVICES = [f"kiln-{number}" for number in range(12)]
PARTITIONS = 16


async def metric(port: str, name: str) -> float:
    """Read a metric of a replica; -1 if it does not answer."""
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        except httpx.HTTPError:
            return -1
    lines = [line for line in text.splitlines() if line.startswith(f"alerting_{name} ")]
    return float(lines[0].split()[1]) if lines else -1


async def test_two_share_the_partitions_and_one_takes_over_from_the_other_with_each_alert_once(
    stream: Server, engine: AsyncEngine, alerting_url: str, tmp_path: Path
) -> None:
    assert engine  # it has emptied the database
    with receiving() as receiver:
        async with benching(stream, tmp_path, receiver) as bench:
            bench.environment["ALERTING_DATABASE_URL"] = alerting_url
            other = bench.environment | {"ALERTING_PORT": str(free_port())}
            await bench.connect()
            staying, dying = Process(bench.environment), Process(other)

            async def shared(mine: float, others: float) -> bool:
                found = [await metric(env["ALERTING_PORT"], "partitions_owned") for env in (bench.environment, other)]
                return found == [mine, others]

            async def knows_the_rule() -> bool:
                return await metric(other["ALERTING_PORT"], "rules") == 1

            try:
                await until(lambda: shared(PARTITIONS / 2, PARTITIONS / 2))
                await until(lambda: ready(bench))
                await bench.add_rule(flapping={"changes": 0})
                await until(knows_the_rule)
                for value in (31.0, 20.0, 32.0):
                    for device in DEVICES:
                        await bench.publish(value, device=device)
                await until(lambda: bench.has("firing", len(DEVICES)))
                dying.kill()
                for device in DEVICES:
                    await bench.publish(20.0, device=device)
                await until(lambda: shared(PARTITIONS, -1))
                await until(lambda: bench.has("resolved", 2 * len(DEVICES)))
                alerts = await bench.alerts()
            finally:
                staying.kill()
                dying.kill()
    assert Counter(alert["device"] for alert in alerts) == dict.fromkeys(DEVICES, 2)

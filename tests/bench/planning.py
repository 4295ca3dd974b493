"""How long 10,000 alerts at once take until all notifications are planned: `python -m tests.bench.planning`."""

import asyncio
import tempfile
import time

import sqlalchemy as sa

from alerting.database import connect, migrate, write
from alerting.tables import alert, change, outbox
from alerting.tables_notify import delivery
from tests.unit.alerting.test_planner import Site

ALERTS = 10_000


async def measure(group_by: list[str]) -> None:
    """Measure with one way of grouping."""
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite+aiosqlite:///{folder}/a.sqlite3")
        await migrate(engine)
        site = Site(engine)
        await site.configure(group_by=group_by, group_wait="0s", group_interval="0s")
        await site.put("a0", "firing")
        async with write(engine) as connection:
            for table in (alert, change, outbox):
                columns = [column for column in table.c if column.name != "seq"]
                row = (await connection.execute(sa.select(*columns))).mappings().one()
                rows = []
                for number in range(1, ALERTS):
                    name = f"a{number}"
                    named = {"id": name} if table is alert else {"alert_id": name}
                    more = {"device": name, "labels": row["labels"] | {"device": name}} if table is alert else {}
                    rows.append(dict(row) | named | more)
                await connection.execute(sa.insert(table), rows)
        began, cpu, longest, steps = time.perf_counter(), time.process_time(), 0.0, 0
        while await site.count(outbox) or (steps and site.planner.due()):
            step = time.perf_counter()
            await site.planner.step()
            longest, steps = max(longest, time.perf_counter() - step), steps + 1
        took, used = time.perf_counter() - began, time.process_time() - cpu
        count = await site.count(delivery)
        print(f"{group_by}: {count} notifications in {took:.1f} s, {used:.1f} s CPU, longest step {longest:.2f} s")
        await engine.dispose()


async def main() -> None:
    """Measure each."""
    for group_by in (["alertname", "device"], ["alertname"]):
        await measure(group_by)


if __name__ == "__main__":
    asyncio.run(main())

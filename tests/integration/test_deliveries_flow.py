"""From a reading to receivers of a whole service: one takes everything while others fail, hang and lie."""

import json
from pathlib import Path
from typing import Any

from tests.conftest import Server
from tests.integration.alerting_service import Bench, benching, receiving, until
from tests.integration.http_receiver import HttpReceiver, http_receiver

BOTH = ["firing", "resolved"]
BAD = ("503", "hang", "close")


def route(*receivers: str) -> dict[str, Any]:
    told_at_once = {"group_by": ["alertname", "device"], "group_wait": "0s", "group_interval": "0s"}
    nodes = [{"receiver": name, "continue": True} for name in receivers]
    return {"route": {"receiver": receivers[0], "routes": nodes} | told_at_once}


async def put(bench: Bench, path: str, body: dict[str, Any]) -> None:
    answer = await bench.client.put(f"/api/v1/{path}", json=body)
    assert answer.is_success, answer.text


async def tries(bench: Bench, receiver: str) -> list[dict[str, Any]]:
    """Give all tries of a receiver's only notification, the newest first."""
    found = (await bench.client.get("/api/v1/deliveries", params={"receiver": receiver})).json()["items"]
    if not found:
        return []
    whole: dict[str, Any] = (await bench.client.get(f"/api/v1/deliveries/{found[0]['id']}")).json()
    shown: list[dict[str, Any]] = whole["tries"]
    return shown


def told(receiver: HttpReceiver, path: str) -> list[tuple[str, str]]:
    """Give the id and status of each notification that came to `path`."""
    bodies = [json.loads(request.body) for request in receiver.requests if request.path == path]
    return [(body["id"], body["status"]) for body in bodies]


def statuses(receiver: HttpReceiver, path: str) -> list[str]:
    return [status for _, status in told(receiver, path)]


async def test_everybody_is_told_in_the_end_and_nobody_later_because_of_another(stream: Server, tmp_path: Path) -> None:
    async with http_receiver() as http:
        with receiving() as unused:
            async with benching(stream, tmp_path, unused) as bench:
                bench.environment |= {"ALERTING_WEBHOOK_TIMEOUT_SECONDS": "0.5"}
                await bench.connect()
                async with bench.service():
                    for name in ("good", *BAD):
                        path = "200" if name == "good" else name
                        url = f"http://127.0.0.1:{http.port}/{path}"
                        await put(bench, f"receivers/{name}", {"type": "webhook", "url": url})
                    await put(bench, "routing", route("good", *BAD))
                    await bench.add_rule()
                    await bench.publish(40)
                    await until(lambda: statuses(http, "/200") == ["firing"])
                    for name in BAD:

                        async def tried_twice(name: str = name) -> bool:
                            return len(await tries(bench, name)) >= 2

                        await until(tried_twice)
                        assert {one["result"] for one in await tries(bench, name)} == {"failed"}
                        (first, _), *again = told(http, f"/{name}")
                        assert {repeat for repeat, _ in again} == {first}
                    await bench.publish(20)
                    await until(lambda: statuses(http, "/200") == BOTH)
                    for name in BAD:  # each gets both, in order, as soon as it is where something takes them
                        url = f"http://127.0.0.1:{http.port}/200?{name}"
                        await put(bench, f"receivers/{name}", {"type": "webhook", "url": url})
                        await until(lambda name=name: statuses(http, f"/200?{name}") == BOTH)  # type: ignore[misc]

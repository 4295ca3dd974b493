"""Becoming a device over MQTT, from end to end: the API, a real broker, ingest, and a real stream."""

import json
from pathlib import Path

from tests.conftest import Server
from tests.integration.ingest_service import ingest
from tests.integration.ingest_service import settings as ingest_settings
from tests.integration.mqtt_devices import connected
from tests.integration.registry_service import running, until


async def test_whoever_has_a_claim_key_becomes_a_device_over_mqtt(
    stream: Server, broker: Server, tmp_path: Path
) -> None:
    reached = {"mqtt_host": "127.0.0.1", "mqtt_port": broker.port}
    async with (
        running(stream, tmp_path, **reached) as service,
        ingest(ingest_settings(stream, broker)),
        connected(broker.port, "provision/4f1a", "provision", "any") as asking,
    ):
        await until(lambda: service.app.waiting_for() == [], "ready, with the broker")
        claim = (await service.client.post("/claims", json={"pattern": "pump-*"})).json()
        assert await asking.subscribe("provision/4f1a/response")
        for id_ in ("valve-1", "pump-7"):
            request = {"key": claim["key"], "id": id_, "facts": {"firmware": "2.1.0"}}
            await asking.publish("provision/4f1a/request", json.dumps(request).encode())

        def told() -> dict[str, dict[str, str]]:
            answers = [json.loads(payload) for _, payload in asking.heard]
            return {answer.get("device", answer.get("error")): answer for answer in answers}

        await until(lambda: len(told()) >= 2, "both answers")
        assert told().keys() == {"bad-device-id", "pump-7"}
        shown = await service.get("/devices/pump-7/credentials")
        assert [item["id"] for item in shown["items"]] == [told()["pump-7"]["credential"]]
        assert (await service.get("/devices/pump-7"))["facts"] == {"firmware": "2.1.0"}

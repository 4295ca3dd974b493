"""Notifications on a topic of a real broker."""

import asyncio
import json
from random import Random

from alerting.notify.channels import BrokerAwayError
from alerting.notify.outcome import DELIVERED, Result
from alerting.notify.receivers import MqttReceiver
from alerting.settings import Settings
from contracts.alerts import read_notification
from contracts.logs import quiet
from contracts.mqtt import Publisher
from tests.conftest import Server
from tests.integration.mqtt_device import connected
from tests.integration.registry_service import until
from tests.integration.ways import NOTIFICATION, ways


async def test_a_notification_is_published_and_retained_where_its_topic_says(broker: Server) -> None:
    settings = Settings.model_validate(
        {"key": "a-key-for-these-tests", "mqtt_host": "127.0.0.1", "mqtt_port": broker.port}
    )
    publisher = Publisher(settings, Random(1), quiet(), "alerting", BrokerAwayError)
    channels, task = ways(mqtt=publisher), asyncio.create_task(publisher.run())
    try:
        topic = MqttReceiver(type="mqtt", topic="devices/pager/{{ status }}/{{ alerts[0].device }}", retain=True)
        await until(lambda: publisher.up, "a connection")
        assert await channels.send(topic, NOTIFICATION) == DELIVERED
        async with connected(broker, "pager") as device:
            await device.subscribe("#")
            await until(lambda: len(device.heard) == 1, "the notification")
            assert device.heard[0].topic == "devices/pager/firing/silo-3"
            assert read_notification(json.loads(bytes(device.heard[0].payload))) == NOTIFICATION
        assert (await channels.send(MqttReceiver(type="mqtt", topic="a/#"), NOTIFICATION)).result is Result.REJECTED
        broker.kill()
        await until(lambda: not publisher.up, "the loss is noticed")
        assert (await channels.send(topic, NOTIFICATION)).result is Result.FAILED
    finally:
        publisher.finish()
        await task
        await channels.close()

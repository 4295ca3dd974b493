"""Who a user name stands for, and what they may do on a broker."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts import topics
from devices_api.credentials.broker_rules import Action, Who, device_username, may, may_connect, named
from devices_api.credentials.rabbitmq import may_speak, may_use, topic_of

PUMP = Who("device", "pump-7")
NEW = Who("provision")
INGEST = Who("service", "ingest")

levels = st.lists(
    st.sampled_from(["devices", "pump-7", "pump-8", "+", "#", "", "desired", "commands", "x"]), max_size=5
)
topics_of_any = levels.map("/".join)


@pytest.mark.parametrize(
    ("username", "who"),
    [
        ("pump-7", PUMP),
        ("AA:BB:01", Who("device", "AA:BB:01")),
        ("pump-7/0a1b", Who("device", "pump-7", "0a1b")),
        ("service/ingest", INGEST),
        ("provision", NEW),
        *(
            (nobody, None)
            for nobody in ("", "service", "provision/x", "pump-7/", "pump-7/a/b", "/x", "a+b", "#", "a\nb")
        ),
    ],
)
def test_a_user_name_stands_for_one_or_for_nobody(username: str, who: Who | None) -> None:
    assert named(username) == who


def test_a_credentials_user_name_means_it() -> None:
    assert named(device_username("pump 7", "0a1b")) == Who("device", "pump 7", "0a1b")


@pytest.mark.parametrize(
    ("who", "mine", "others"),
    [
        (PUMP, ["pump-7", "pump-7/2", "pump-7/a/b"], ["pump-8", "pump-70", "", "provision/x", "pump-7x"]),
        (NEW, ["provision/4f1a"], ["provision", "provision/", "provision/a/b", "pump-7", "provision/+"]),
        (INGEST, ["ingest-1", ""], ["provision/4f1a"]),
    ],
)
def test_nobody_has_the_client_id_of_another(who: Who, mine: list[str], others: list[str]) -> None:
    assert [client_id for client_id in mine + others if may_connect(who, client_id)] == mine


def test_a_device_publishes_what_it_has_to_say_and_not_what_it_is_told() -> None:
    own = [
        topics.telemetry("pump-7"),
        topics.status("pump-7"),
        topics.reported("pump-7"),
        topics.command_response("pump-7", "c1"),
        "devices/pump-7/telemetry/flow",
    ]
    told = [topics.desired("pump-7"), topics.delta("pump-7"), topics.errors("pump-7"), topics.command("pump-7", "c1")]
    others = [topics.telemetry("pump-8"), "devices/pump-7", "devices", "x", "$SYS/a", "devices/pump-7/#", "devices/+/x"]
    assert [topic for topic in own + told + others if may(PUMP, "pump-7", "publish", topic)] == own
    assert [topic for topic in told if may(PUMP, "pump-7", "subscribe", topic)] == told


def test_a_provisioning_client_speaks_on_its_own_two_topics() -> None:
    ours = topics.provision_request("4f1a"), topics.provision_response("4f1a")
    assert may(NEW, "provision/4f1a", "publish", ours[0])
    assert may(NEW, "provision/4f1a", "subscribe", ours[1])
    assert not may(NEW, "provision/4f1a", "subscribe", ours[0])
    for topic in ("provision/other/response", "provision/+/response", "provision/#", "#", "devices/pump-7/telemetry"):
        assert not may(NEW, "provision/4f1a", "subscribe", topic)
        assert not may(NEW, "provision/4f1a", "publish", topic)


@settings(max_examples=300)
@given(topics_of_any)
def test_no_filter_of_a_device_reaches_beyond_its_own_topics(topic: str) -> None:
    actions: tuple[Action, ...] = ("publish", "subscribe")
    for action in actions:
        if may(PUMP, "pump-7", action, topic):
            assert topic.startswith("devices/pump-7/")


@settings(max_examples=300)
@given(levels.map(".".join).map(lambda key: key.replace("+", "*")), st.sampled_from(["read", "write"]))
def test_no_routing_key_of_rabbitmq_does_either(key: str, permission: str) -> None:
    fields = {"name": "amq.topic", "permission": permission, "routing_key": key}
    if may_speak(PUMP, "pump-7", fields):
        assert topic_of(key).startswith("devices/pump-7/")


def test_an_id_that_rabbitmq_would_take_for_several_levels_is_refused_there() -> None:
    for id_ in ("pump.7", "pump*", "*"):
        key = {"name": "amq.topic", "permission": "read", "routing_key": f"devices.{id_}.status"}
        assert not may_speak(Who("device", id_), id_, key)


def test_a_device_uses_its_own_queues_and_the_exchange_for_topics() -> None:
    own = {"resource": "queue", "name": "mqtt-subscription-pump-7qos1", "permission": "configure"}
    assert may_use(PUMP, "pump-7", own)
    assert may_use(PUMP, "pump-7", {"resource": "exchange", "name": "amq.topic", "permission": "write"})
    for fields in (
        own | {"name": "mqtt-subscription-pump-8qos1"},
        {"resource": "exchange", "name": "amq.topic", "permission": "configure"},
        {"resource": "exchange", "name": "amq.direct", "permission": "write"},
        {"resource": "queue", "name": "orders", "permission": "read"},
    ):
        assert not may_use(PUMP, "pump-7", fields)
    assert not may_use(PUMP, "", own)
    assert not may_use(PUMP, "pump-8", own | {"name": "mqtt-subscription-pump-8qos1"})

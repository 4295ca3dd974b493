"""What RabbitMQ's HTTP backend asks, in terms of MQTT. Pure.

Its topics are AMQP routing keys: a dot for each slash, and nothing tells a dot in a level from one between two. So a
device whose id has a dot would be given what is below that of another, and such ids are refused, as is the wildcard *.
"""

from collections.abc import Mapping

from devices_api.credentials.broker_rules import Action, Who, may, may_connect

EXCHANGE = "amq.topic"


def representable(who: Who) -> bool:
    """Whether a device can be told from others in routing keys."""
    return not any(character in who.id for character in ".*#")


def may_use(who: Who, client_id: str, fields: Mapping[str, str]) -> bool:
    """Whether they may use a queue or an exchange: a device its own client's queues, and the exchange for topics."""
    if who.kind == "service":
        return True
    if not (representable(who) and may_connect(who, client_id)):
        return False
    name, permission = fields.get("name"), fields.get("permission")
    if fields.get("resource") == "exchange":
        return name == EXCHANGE and permission in ("read", "write")
    return fields.get("resource") == "queue" and name in {f"mqtt-subscription-{client_id}qos{qos}" for qos in (0, 1)}


def may_speak(who: Who, client_id: str, fields: Mapping[str, str]) -> bool:
    """Whether they may publish with a routing key, or be sent what has one that it matches."""
    if who.kind == "service":
        return True
    if not representable(who) or fields.get("name") != EXCHANGE:
        return False
    action: Action | None = {"write": "publish", "read": "subscribe"}.get(fields.get("permission", ""))  # type: ignore[assignment]  # these are its values
    return action is not None and may(who, client_id, action, topic_of(fields.get("routing_key", "")))


def topic_of(routing_key: str) -> str:
    """Give the MQTT topic or filter that RabbitMQ made a routing key of, as far as that can be told."""
    return routing_key.replace(".", "/").replace("*", "+")

"""Publishes with ThingsBoard's client, as a gateway with two devices: `python thingsboard_gateway.py PORT`."""

import sys

from tb_gateway_mqtt import TBGatewayMqttClient  # type: ignore[import-not-found]  # see requirements-peers.in

gateway = TBGatewayMqttClient("127.0.0.1", int(sys.argv[1]), "a-token", client_id="tb-1")
gateway.connect()
gateway.gw_connect_device("Oven 1")
gateway.gw_send_attributes("Oven 1", {"firmwareVersion": "2.1"})
records = [
    {"ts": 1767225600250, "values": {"core": 180.5, "door": False}},
    {"ts": 1767225601250, "values": {"core": 181.5}},
]
sent = [
    gateway.gw_send_telemetry("Oven 1", records),
    gateway.gw_send_telemetry("Oven 2", {"ts": 1767225602250, "values": {"core": 20}}),
]
for one in sent:
    one.get()
gateway.gw_disconnect_device("Oven 1")
gateway.disconnect()
gateway.stop()

"""Publishes with ThingsBoard's client, as a device: `python thingsboard_device.py PORT`."""

import sys

from tb_device_mqtt import TBDeviceMqttClient  # type: ignore[import-not-found]  # see requirements-peers.in

client = TBDeviceMqttClient("127.0.0.1", int(sys.argv[1]), "a-token", client_id="tb-2")
client.connect()
client.send_telemetry({"ts": 1767225600250, "values": {"rms": 1.5}}).get()
client.disconnect()
client.stop()

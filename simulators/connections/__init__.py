"""MQTT connections of devices to a real broker."""

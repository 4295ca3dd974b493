"""ingest: takes what devices publish over MQTT and puts it, fsynced, on the stream before the broker may forget it."""

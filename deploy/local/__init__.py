"""One machine: `sensorium up` and what it starts."""

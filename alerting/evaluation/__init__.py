"""All rules over the devices of one partition, in memory, and what changes there."""

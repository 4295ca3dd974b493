"""How Sensorium runs: on one machine (`local`) or many."""

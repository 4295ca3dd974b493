"""alerting: evaluates rules over readings, keeps each alert's state exactly once, and tells receivers of it."""

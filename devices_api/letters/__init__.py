"""Dead letters: reading them, and handing them back to ingest."""

"""A fleet that runs: its plan, sent over its connections, and entered into the ledger."""

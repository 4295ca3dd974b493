"""Live events: heard once for all who listen."""

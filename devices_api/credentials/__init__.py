"""What devices prove who they are with, and what brokers ask about it."""

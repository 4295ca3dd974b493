"""API keys, tickets and rate limits: who may ask."""

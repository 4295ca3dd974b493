"""Scenarios: what a fleet does, what fails meanwhile, and what is expected to come of it."""

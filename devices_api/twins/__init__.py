"""Desired and reported states, and commands: what devices are told, and what they answer."""

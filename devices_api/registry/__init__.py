"""Devices, groups and profiles: what operators say of them, and how the other services hear of it."""

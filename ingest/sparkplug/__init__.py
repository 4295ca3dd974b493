"""Sparkplug B: its payload, its values, and what is known of an edge node's session. Pure."""

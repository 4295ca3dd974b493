"""The life of an alert, and of one rule at one device. Pure."""

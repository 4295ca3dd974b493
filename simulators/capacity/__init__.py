"""The highest rate that a system holds, found by search, and what it costs there."""

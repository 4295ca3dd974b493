"""What devices have measured: queries, exports and deletions on each time-series store."""

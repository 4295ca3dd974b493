"""processor: writes readings from the stream to the time-series store, with their rollups."""

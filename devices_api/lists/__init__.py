"""Lists of devices: the filter language, search, order, pages and counts."""

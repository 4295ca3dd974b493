"""Wire formats: how devices of each convention publish what they measure. Pure."""

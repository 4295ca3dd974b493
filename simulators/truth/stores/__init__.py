"""Where points are looked up: the query API, or a store itself."""

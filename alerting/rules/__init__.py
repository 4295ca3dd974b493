"""Rules: as operators write them, which devices they look at, and what evaluation needs of them."""

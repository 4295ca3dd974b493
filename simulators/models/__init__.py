"""What devices measure, declared in TOML: pure functions of seed, device and time."""

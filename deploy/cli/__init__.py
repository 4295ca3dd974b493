"""The devices API on the command line."""

"""The APIs on the command line."""

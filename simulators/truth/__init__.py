"""What was sent, on disk, and the check of what became of it."""

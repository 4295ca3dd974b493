"""The partitions that this replica evaluates: taken, read, written, and given up."""

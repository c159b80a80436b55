"""Pages of the compute bank, by subject."""

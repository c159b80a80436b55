"""Pages of the supermarket."""

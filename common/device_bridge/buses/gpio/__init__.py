"""GPIO lines."""

"""Bags that were cut off or damaged, read as far as they go."""

"""Contours by many heads of a field (thesis, chapter 3)."""

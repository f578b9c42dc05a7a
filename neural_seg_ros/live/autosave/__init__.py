"""Autosave: annotations on disk that survive a kill of a live session."""

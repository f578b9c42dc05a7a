"""What survives a kill of a live session."""

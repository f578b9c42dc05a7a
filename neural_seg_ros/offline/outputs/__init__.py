"""The outputs of a run: masks, figures, report."""

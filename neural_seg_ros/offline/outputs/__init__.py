"""What a run writes: masks, figures, report."""

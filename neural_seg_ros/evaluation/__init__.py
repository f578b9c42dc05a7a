"""Quality and speed against ground truth, beside peers. Nothing in production imports this package."""

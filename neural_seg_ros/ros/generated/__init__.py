"""Writers of the generated files: ``make generated``."""

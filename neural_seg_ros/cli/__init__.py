"""The command line ``neural-seg``."""

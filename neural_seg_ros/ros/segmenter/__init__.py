"""The nodes ``segmenter`` and ``multi_segmenter``."""

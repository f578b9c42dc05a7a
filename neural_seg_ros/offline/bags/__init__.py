"""Bags as input: frames, recorded annotations, ground truth."""

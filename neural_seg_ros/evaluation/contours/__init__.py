"""Contour detectors on images with the segmentations of several annotators, as BSDS500 measures them."""

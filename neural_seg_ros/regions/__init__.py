"""A frame as a graph of small regions, whose edges know how an ensemble of segmentations divides the frame."""

from neural_seg_ros.regions.graph import Regions, prepare_regions

__all__ = ["Regions", "prepare_regions"]

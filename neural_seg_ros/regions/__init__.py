"""A frame as a graph of small regions, whose edges know how an ensemble of segmentations divides the frame."""

from neural_seg_ros.regions.ensemble import FEW_MEMBERS, MEMBERS
from neural_seg_ros.regions.graph import RegionFinder, Regions, prepare_regions

__all__ = ["FEW_MEMBERS", "MEMBERS", "RegionFinder", "Regions", "prepare_regions"]

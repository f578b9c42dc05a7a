"""The region graph of a frame: superpixels, and edges weighted by an ensemble of segmentations."""

from neural_seg_ros.regions.ensemble import FEW_MEMBERS, MEMBERS
from neural_seg_ros.regions.graph import RegionFinder, Regions, prepare_regions

__all__ = ["FEW_MEMBERS", "MEMBERS", "RegionFinder", "Regions", "prepare_regions"]

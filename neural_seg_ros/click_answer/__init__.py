"""Answers to annotations from the region graph, before any fit."""

from neural_seg_ros.click_answer.estimate import Estimate
from neural_seg_ros.click_answer.region_answer import RegionAnswer

__all__ = ["Estimate", "RegionAnswer"]

"""Pixels in and out: arrays, files, ROS messages, camera models. No torch."""

"""Consumers of masks: instances with boxes, labeled points, masked depth. The pure parts need no rclpy."""

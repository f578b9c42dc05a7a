"""Frames through a session without a camera: bags, videos, folders of images."""

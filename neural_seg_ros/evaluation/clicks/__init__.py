"""Robot clicks, boxes and strokes on images with ground truth."""

"""What is made of a label image for others: instances with their boxes, labelled points, masked depth. No rclpy."""

"""ROS 2 without ROS: images of a bag, and scenes as messages of a bag or of a node."""

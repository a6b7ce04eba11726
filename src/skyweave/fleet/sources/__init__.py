"""Sources of images for a node: a recording, a simulated world, files, topics, ROS 2."""

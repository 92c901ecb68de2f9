"""NVILA's decisions on a ROS 2 robot. Only `node` and `messages` import rclpy; the rest is plain Python over the package nvila-edge."""

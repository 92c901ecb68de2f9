"""What a robot saw, decided and did, as MCAP files with ROS 2 schemas: they open in Foxglove and play with `ros2 bag play`, and need no ROS to write."""

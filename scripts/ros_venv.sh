#!/usr/bin/env bash
# Makes .venv-ros: ROS 2 Kilted from Python wheels beside the client's four packages, for the tests marked `ros`. About 480 MB, half a minute. A robot with ROS
# installed does not need it.
#   scripts/ros_venv.sh [FOLDER]
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="${1:-$root/.venv-ros}"
python="${PYTHON:-python3.11}" # the wheels are built for 3.11

command -v "$python" >/dev/null || {
  echo "ros_venv: $python is needed; name another with PYTHON=" >&2
  exit 1
}
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# rclpy names no middleware among its requirements: without ros-rmw-fastrtps-cpp its import fails.
"$venv/bin/pip" install --quiet "ros-rclpy>=9.1,<10" ros-rmw-fastrtps-cpp ros-sensor-msgs ros-geometry-msgs ros-nav-msgs ros-std-msgs ros-std-srvs \
  ros-diagnostic-msgs "numpy>=2.1,<3" "opencv-python-headless>=4.11,<6" "pyzmq>=26.2,<28" "msgpack>=1.1,<2" \
  colcon-core colcon-ros colcon-python-setup-py catkin_pkg "setuptools<80"
# The SDK of the Go2 for its node; its requirements would bring a second OpenCV over the one above.
"$venv/bin/pip" install --quiet --no-deps "unitree-sdk2py-dimos>=1.0.3,<2" cyclonedds rich-click
"$venv/bin/python" -c "import unitree_sdk2py.core.channel, rclpy, cv2, zmq, msgpack"
echo "ros_venv: $venv is ready: NVILA_EDGE_ROS_VENV=$venv python -m pytest -m ros tests/ros_bridge"

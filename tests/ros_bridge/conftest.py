"""The package is colcon's, not installed here: its parts that import no rclpy are tested from their folder."""

from __future__ import annotations

import sys

from tests.ros_bridge.support import PACKAGE

sys.path.insert(0, str(PACKAGE))

"""ros2 launch nvila_edge_ros bridge.launch.py server:=tcp://127.0.0.1:5555 image:=/camera/image_raw/compressed cmd_vel:=/cmd_vel odom:=/odom"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import LifecycleNode
from launch_ros.substitutions import FindPackageShare

# argument, its default, what it is
ARGUMENTS = (
    ("server", "tcp://127.0.0.1:5555", "address of a running nvila-edge serve"),
    ("image", "/camera/image_raw/compressed", "camera topic; a CompressedImage unless image_type is raw"),
    ("cmd_vel", "/cmd_vel", "where velocities go: through your velocity smoother and collision monitor if you have them"),
    ("odom", "/odom", "nav_msgs/Odometry"),
    ("scan", "/scan", "sensor_msgs/LaserScan, if use_scan is true in the parameters"),
    ("namespace", "", "namespace of the node"),
    ("params", PathJoinSubstitution([FindPackageShare("nvila_edge_ros"), "config", "bridge.yaml"]), "parameter file"),
)


def generate_launch_description() -> LaunchDescription:
    """One node; it configures and activates itself unless the parameter `autostart` is false."""
    at = LaunchConfiguration
    node = LifecycleNode(
        package="nvila_edge_ros",
        executable="bridge",
        name="nvila_edge",
        namespace=at("namespace"),
        parameters=[at("params"), {"server": at("server")}],
        remappings=[("image", at("image")), ("cmd_vel", at("cmd_vel")), ("odom", at("odom")), ("scan", at("scan"))],
        output="screen",
    )
    return LaunchDescription([*(DeclareLaunchArgument(n, default_value=d, description=t) for n, d, t in ARGUMENTS), node])

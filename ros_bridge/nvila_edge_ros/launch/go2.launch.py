"""ros2 launch nvila_edge_ros go2.launch.py interface:=eth0 server:=tcp://127.0.0.1:5555: the Go2's own node and the bridge."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare


def generate_launch_description() -> LaunchDescription:
    """Two nodes; when the Go2's ends, its topics fall silent, and the bridge stops."""
    arguments = (("interface", "eth0"), ("domain", "0"), ("server", "tcp://127.0.0.1:5555"))
    parameters = [{"interface": LaunchConfiguration("interface"), "domain": LaunchConfiguration("domain")}]
    go2 = Node(package="nvila_edge_ros", executable="go2", name="go2", parameters=parameters, output="screen")
    launch_file = PathJoinSubstitution([FindPackageShare("nvila_edge_ros"), "launch", "bridge.launch.py"])
    given = {"server": LaunchConfiguration("server"), "image": "/image/compressed"}
    bridge = IncludeLaunchDescription(PythonLaunchDescriptionSource(launch_file), launch_arguments=given.items())
    return LaunchDescription([*(DeclareLaunchArgument(name, default_value=value) for name, value in arguments), go2, bridge])

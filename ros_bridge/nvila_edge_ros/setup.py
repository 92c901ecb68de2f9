"""What colcon builds. nvila-edge itself is no ROS package: install it with pip into the Python that runs the node (README.md)."""

from glob import glob

from setuptools import find_packages, setup

NAME = "nvila_edge_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=find_packages(include=[NAME]),
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*"))),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    description="Camera topic in, NVILA's decisions, cmd_vel out.",
    license="Apache-2.0",
    entry_points={"console_scripts": [f"bridge = {NAME}.node:main", f"go2 = {NAME}.go2_node:main"]},
)

"""colcon builds the package, and what it installs runs with its parameter file."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tests.ros_bridge.support import PACKAGE, ROOT, ros_python

SETTINGS = PACKAGE / "nvila_edge_ros" / "settings.py"


def _settings() -> dict[str, object]:
    """Field names and defaults of Settings, read without importing it."""
    tree = ast.parse(SETTINGS.read_text())
    settings = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Settings")
    return {node.target.id: ast.literal_eval(node.value) for node in settings.body if isinstance(node, ast.AnnAssign)}  # type: ignore[union-attr, arg-type]


def test_the_parameter_file_is_the_defaults() -> None:
    assert yaml.safe_load((PACKAGE / "config" / "bridge.yaml").read_text())["/**"]["ros__parameters"] == _settings()


def test_what_is_imported_is_declared() -> None:
    declared = {element.text for element in ET.parse(PACKAGE / "package.xml").getroot().iter("exec_depend")}
    imported = set()
    for path in [*PACKAGE.glob("nvila_edge_ros/*.py"), *PACKAGE.glob("launch/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names] if isinstance(node, ast.Import) else []
            )
            imported |= {name.split(".")[0] for name in names if name}
    assert {
        name for name in imported if name in ("rclpy", "launch", "launch_ros") or name.endswith("_msgs") or name.endswith("_srvs")
    } == declared


@pytest.mark.ros
def test_colcon_builds_a_package_whose_node_runs(tmp_path: Path) -> None:
    python = Path(ros_python())
    if not (python.parent / "colcon").exists():
        pytest.skip("no colcon in the ROS environment: make it anew with scripts/ros_venv.sh")
    environment = os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}", "AMENT_PREFIX_PATH": str(python.parents[1])}
    build = [str(python), "-m", "colcon", "--log-base", "log", "build", "--base-paths", str(PACKAGE)]
    done = subprocess.run(build, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    prefix = tmp_path / "install" / "nvila_edge_ros"
    share = prefix / "share" / "nvila_edge_ros"
    assert (prefix / "share/ament_index/resource_index/packages/nvila_edge_ros").is_file()
    assert {path.name for path in (share / "config").iterdir()} == {"bridge.yaml", "fastdds.xml"} and (
        share / "launch/bridge.launch.py"
    ).is_file()
    site = next(prefix.rglob("site-packages"))
    command = [str(python), str(prefix / "lib/nvila_edge_ros/bridge"), "--ros-args", "--params-file", str(share / "config/bridge.yaml")]
    running = environment | {"PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    refused = subprocess.Popen([*command, "-p", "image_type:=thermal"], env=running, stderr=subprocess.PIPE, text=True)
    try:
        assert refused.stderr is not None
        assert "image_type is 'thermal'; it must be one of compressed, raw" in refused.stderr.readline()
    finally:
        refused.kill()
        refused.wait(10)


@pytest.mark.ros
def test_pictures_of_every_encoding_come_out_the_same_and_others_are_refused() -> None:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), str(ROOT)])}
    command = [ros_python(), str(Path(__file__).with_name("pictures.py"))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert all(picture == told["rgb"] for picture in told["same"])
    assert told["grey"] == [[[pixel[0]] * 3 for pixel in row] for row in told["rgb"]]
    assert "'16UC1'; allowed are rgb8" in told["depth"] and "cannot be decoded" in told["rubbish"] and "without data" in told["nothing"]
    assert all("does not fit together" in told[case] for case in ("short", "empty", "step"))
    assert abs(told["yaw"] - 1.2) < 1e-9 and told["no quaternion"]

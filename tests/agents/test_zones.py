"""Where a robot may go: what a file says, how far it is to an edge, and that a robot does not pass one."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agents.executor import Executor, ExecutorConfig
from agents.obstacles import Clearance, nearest
from agents.protocols import Odometry
from agents.robots.choice import open_robot
from agents.robots.kinematic import Kinematic
from agents.zones import Zone, read_zones, zone_clearance
from nvila_edge.navigation.actions import Primitive
from tests.agents.made_time import MadeTime

ROOM = Zone("room", "keep_in", ((-1, -1), (0.6, -1), (0.6, 2), (-1, 2)))
STAIRS = Zone("stairs", "stop", ((0.2, 1), (0.4, 1), (0.4, 1.5), (0.2, 1.5)))
FILE = """
polygons: [room, stairs, old]
room: {type: polygon, action_type: keep_in, points: [[-1, -1], [0.6, -1], [0.6, 2], [-1, 2]]}
stairs: {type: polygon, action_type: stop, points: "[[0.2, 1], [0.4, 1], [0.4, 1.5], [0.2, 1.5]]", enabled: true}
old: {action_type: stop, points: [[0, 0], [1, 0], [1, 1]], enabled: false}
"""


def at(x_m: float, y_m: float, yaw_deg: float) -> Odometry:
    return Odometry(x_m, y_m, math.radians(yaw_deg), 7.0)


def test_a_file_is_read_and_what_is_disabled_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "zones.yaml").write_text(FILE)
    assert read_zones(tmp_path / "zones.yaml") == (ROOM, STAIRS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("keep_in", "slowdown"), "zone 'room': action_type is 'slowdown'; it must be stop or keep_in"),
        (("[[-1, -1], [0.6, -1], [0.6, 2], [-1, 2]]", "[[0, 0], [1, 1]]"), "from 3 to 100 pairs"),
        (("[-1, -1]", "[.nan, 0]"), "finite"),
        (("[-1, -1]", "[1]"), "pairs of metres are needed"),
        (("type: polygon", "type: circle"), "its type is polygon"),
        (("old: {", "cellar: {"), "a list `polygons`"),
        (("polygons: [room", "polygons: [[room"), "is no YAML"),
    ],
)
def test_a_file_that_means_nothing_is_refused_by_name(tmp_path: Path, change: tuple[str, str], words: str) -> None:
    path = tmp_path / "zones.yaml"
    path.write_text(FILE.replace(*change, 1))
    with pytest.raises(ValueError, match=rf"zones\.yaml.*{words}"):
        read_zones(path)


@pytest.mark.parametrize(
    ("pose", "free_m"),
    [
        (at(0, 0, 0), 0.6),
        (at(0, 0, 180), 1.0),
        (at(0, 0, 60), 1.2),  # the room's right wall: 0.6 / cos 60
        (at(0.3, 0, 90), 1.0),  # the stairs
        (at(0.3, 1.8, -90), 0.3),
        (at(0.1, 0, 90), 2.0),  # past them
        (at(0.3, 1.2, 90), 0.0),  # on them
        (at(0.7, 0, 180), 0.0),  # out of the room
    ],
)
def test_the_way_ends_at_the_nearest_edge_ahead(pose: Odometry, free_m: float) -> None:
    assert zone_clearance((ROOM, STAIRS), pose) == Clearance(pytest.approx(free_m), 7.0)


def test_what_is_not_known_is_not_free() -> None:
    assert zone_clearance((ROOM,), at(math.nan, 0, 0)).distance_m is None
    assert nearest(Clearance(1.0, 5.0), Clearance(None, 7.0)) == Clearance(None, 5.0)
    assert nearest(Clearance(math.inf, 5.0), Clearance(0.5, 4.0)) == Clearance(0.5, 4.0)


def test_a_robot_stops_at_the_edge_may_turn_and_goes_on_elsewhere() -> None:
    clock = MadeTime()
    robot = Kinematic(clock=clock)
    executor = Executor(robot, ExecutorConfig(turn_deg=90), lambda: zone_clearance((ROOM,), robot.odometry()), clock)
    motions = [executor.execute(Primitive.FORWARD) for _ in range(3)]
    assert not motions[0].collided and motions[-1].collided and 0.35 < robot.pose[0] < 0.55
    assert executor.execute(Primitive.LEFT).turned_deg == pytest.approx(90, abs=5)
    assert not executor.execute(Primitive.FORWARD).collided and robot.pose[1] == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("sees", [None, lambda: Clearance(math.inf, time.monotonic())])
def test_a_robot_by_name_heeds_zones_also_where_nothing_is_in_sight(sees: Callable[[], Clearance] | None) -> None:
    elsewhere = Zone("elsewhere", "keep_in", ((5, 5), (6, 5), (6, 6)))
    for zones, moved_m in (((elsewhere,), 0.0), ((), 0.25)):
        with open_robot("kinematic", clearance=sees, zones=zones) as robot:
            motion = robot.execute(Primitive.FORWARD)
        assert motion.collided == (not moved_m) and motion.moved_m == pytest.approx(moved_m, abs=0.1)

"""Programs that talk to the simulated Go2 over Unitree's SDK, each a process of its own. One JSON line per thing that happened.

walk: 0.75 m with the SDK alone. march: ahead until it is killed. obey: through our Go2 class, what its argument says. watch: the state, as it comes.
"""

from __future__ import annotations

import json
import math
import sys
import time

from agents.executor import Executor
from agents.protocols import RobotError
from agents.robots.go2 import DRIVEN, Go2
from nvila_edge.navigation.actions import Primitive

_OUT, sys.stdout = sys.stdout, sys.stderr  # the SDK prints


def say(**what: object) -> None:
    """One line."""
    _OUT.write(json.dumps(what) + "\n")
    _OUT.flush()


def sport_client():
    """Unitree's own client, as its examples use it."""
    from unitree_sdk2py.go2.sport.sport_client import SportClient

    client = SportClient()
    client.SetTimeout(2.0)
    client.Init()
    return client


def walk(go2: Go2) -> None:
    """0.75 m ahead at 0.4 m/s, stopped by odometry."""
    client = sport_client()
    client.BalanceStand()
    start, began_s = go2.odometry(), time.monotonic()
    while math.hypot(go2.odometry().x_m - start.x_m, go2.odometry().y_m - start.y_m) < 0.70 and time.monotonic() < began_s + 8:
        assert client.Move(0.4, 0.0, 0.0) == 0
        time.sleep(0.05)
    assert client.StopMove() == 0
    time.sleep(1.0)
    end = go2.odometry()
    say(moved_m=math.hypot(end.x_m - start.x_m, end.y_m - start.y_m), seconds=time.monotonic() - began_s)


def march(go2: Go2) -> None:
    """Move again and again."""
    client = sport_client()
    while True:
        client.Move(0.4, 0.0, 0.0)
        say(sent_s=time.monotonic())
        time.sleep(0.05)


def watch(go2: Go2) -> None:
    """Pose and mode at 50 Hz."""
    while True:
        try:
            pose = go2.odometry()
            say(at_s=time.monotonic(), x_m=pose.x_m, y_m=pose.y_m, mode=go2._state.mode)
        except RobotError:  # a computer under load is late; the next state comes
            pass
        time.sleep(0.02)


def obey(go2: Go2) -> None:
    """Stand, then one primitive forward and one to the left; what they achieved, or what the error says."""
    try:
        go2.stand()
        robot = Executor(go2, DRIVEN)
        for primitive in (Primitive.LEFT, Primitive.FORWARD):
            motion = robot.execute(primitive)
            say(primitive=primitive.name, moved_m=motion.moved_m, turned_deg=motion.turned_deg, collided=motion.collided)
    except RobotError as error:
        say(error=str(error))


def disobeyed(go2: Go2) -> None:
    """Velocities to a robot that ignores them."""
    try:
        while True:
            go2.command(0.4, 0.0)
            time.sleep(0.05)
    except RobotError as error:
        say(error=str(error))


def legs(go2: Go2) -> None:
    """Lie down, and up again the right way."""
    sport_client().StandDown()
    time.sleep(0.2)
    sport_client().StandUp()
    time.sleep(0.2)
    locked = go2._state.mode
    go2.stand()
    say(locked=locked, mode=go2._state.mode)


if __name__ == "__main__":
    try:
        robot = Go2("lo", int(sys.argv[2]), connect_s=15.0)
    except RobotError as refused:
        say(error=str(refused))
        sys.exit(1)
    say(connected=True)
    globals()[sys.argv[1]](robot)

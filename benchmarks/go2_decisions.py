"""Camera to action on the simulated Go2: python -m benchmarks.go2_decisions --seconds 60, in the environment of scripts/go2_venv.sh.

Everything runs on this computer: physics and camera (python -m sim.go2), the server with the built-in bundle, and this process, which asks for a
picture over Unitree's SDK, asks the server for the action, and gives its velocity to the robot at once; so often a second as --rate says, or as
it can. Latency: from asking for the picture to Move having been sent. --primitives: whole actions through the loop instead.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from agents.cameras.go2 import Go2Camera
from agents.events import Decided, Ended, Executed
from agents.executor import Executor
from agents.guard import GuardLimits
from agents.loop import Loop, LoopConfig
from agents.policy import RemotePolicy
from agents.protocols import Motion, RobotError
from agents.robots.go2 import DRIVEN, Go2
from nvila_edge.navigation.actions import Action, Forward, Primitive, Turn, primitives
from nvila_edge.serving.client import Client
from nvila_edge.serving.process import start_process, start_server
from nvila_edge.shipped import BUNDLE

LINEAR_MPS, ANGULAR_RPS = 0.4, 0.6
AWAY_S = 2.0


@dataclass(frozen=True)
class Options:
    """seconds: of measuring. rate: decisions a second, 0 for as many as go."""

    seconds: float = 60.0
    rate: float = 2.0
    domain: int = 23
    house: str = "val_unseen_0003"
    primitives: bool = False


def velocity(action: Action | None) -> tuple[float, float]:
    """What moves towards an action: m/s ahead, rad/s to the left."""
    match action:
        case Forward():
            return LINEAR_MPS, 0.0
        case Turn(angle_deg=angle):
            return 0.0, math.copysign(ANGULAR_RPS, angle)
        case _:
            return 0.0, 0.0


def drive(robot: Go2, camera: Go2Camera, policy: RemotePolicy, instruction: str, options: Options) -> dict[str, object]:
    """Decide and move, again and again. After a stop it turns for AWAY_S, undecided, and begins the instruction anew: a standing robot tells little."""
    policy.reset(instruction, "bench")
    latency_ms, age_ms, actions, stuck = [], [], [], 0
    began_s = time.monotonic()
    while (now_s := time.monotonic()) < began_s + options.seconds:
        frame = camera.capture()
        policy.observe(frame)
        decision = policy.decide()
        age_ms.append(1000 * (time.monotonic() - frame.captured_s))
        if not push(robot, decision.action):
            stuck += 1
            continue
        latency_ms.append(1000 * (time.monotonic() - frame.captured_s))
        action = decision.action or Forward(25)
        actions.append(type(action).__name__)
        if primitives(action)[0] != Primitive.STOP:
            policy.executed(action, primitives(action)[0], Motion(0.1, 0.0, False))
        else:
            turn_away(robot)
            policy.reset(instruction, f"bench {len(actions)}")
            continue
        next_s = now_s + 1 / options.rate if options.rate else 0.0
        while time.monotonic() < next_s - 0.2:  # Move is re-sent
            time.sleep(0.2)
            stuck += not push(robot, decision.action)
        time.sleep(max(0.0, next_s - time.monotonic()))
    robot.halt()
    seconds = time.monotonic() - began_s - AWAY_S * (actions.count("Stop") + stuck)
    kinds = {name: actions.count(name) for name in sorted(set(actions))}
    return {
        "decisions": len(actions),
        "per second": len(actions) / seconds,
        "camera to action": of(latency_ms),
        "frame age": of(age_ms),
        "actions": kinds,
        "stuck": stuck,
    }


def push(robot: Go2, action: Action | None) -> bool:
    """Move towards it; False, after having turned away, when the robot says that nothing moves: it stands before something and treads."""
    try:
        robot.command(*velocity(action))
    except RobotError:
        turn_away(robot)
        return False
    return True


def turn_away(robot: Go2) -> None:
    """To the left, without looking."""
    until_s = time.monotonic() + AWAY_S
    while time.monotonic() < until_s:
        robot.command(0.0, ANGULAR_RPS)
        time.sleep(0.1)


def follow(robot: Go2, camera: Go2Camera, policy: RemotePolicy, client: Client, instruction: str, options: Options) -> dict[str, object]:
    """One instruction through the loop, whole primitives."""
    latency_ms, motions, reason = [], [], "time"
    config = LoopConfig(limits=GuardLimits())
    began_s = time.monotonic()
    for event in Loop(policy, camera, Executor(robot, DRIVEN), client, config).run(instruction, "bench"):
        match event:
            case Decided(latency_ms=ms):
                latency_ms.append(ms)
            case Executed(primitive=primitive, motion=motion) if primitive != Primitive.STOP:
                wanted = 0.25 if primitive == Primitive.FORWARD else 15.0 * (1 if primitive == Primitive.LEFT else -1)
                got = motion.moved_m if primitive == Primitive.FORWARD else motion.turned_deg
                motions.append((primitive == Primitive.FORWARD, got - wanted, motion.collided))
            case Ended():
                reason = f"{event.reason} {event.message}"
        if time.monotonic() > began_s + options.seconds:
            break
    forward = [abs(error) for ahead, error, hit in motions if ahead and not hit]
    turn = [abs(error) for ahead, error, _ in motions if not ahead]
    result: dict[str, object] = {
        "decisions": len(latency_ms),
        "camera to decision": of(latency_ms),
        "primitives": len(motions),
        "ended": reason,
    }
    result["collided"] = sum(hit for *_, hit in motions)
    result["seconds per primitive"] = (time.monotonic() - began_s) / max(1, len(motions))
    return result | {
        "error ahead (m)": float(np.mean(forward)) if forward else None,
        "error turning (deg)": float(np.mean(turn)) if turn else None,
    }


def of(values_ms: list[float]) -> dict[str, float]:
    """Milliseconds: p50, p95, p99, the longest."""
    return {f"p{q}": round(float(np.percentile(values_ms, q)), 1) for q in (50, 95, 99)} | {"longest": round(max(values_ms), 1)}


def main(options: Options) -> None:
    """Measure, and print JSON."""
    out, sys.stdout = sys.stdout, sys.stderr
    command = [sys.executable, "-m", "sim.go2", "--house", options.house, "--domain", str(options.domain)]
    with start_process(command, 120) as simulator, start_server(Path(BUNDLE)) as server, Client(server.address) as client:
        assert client.wait_alive(10)
        robot = Go2("lo", options.domain, connect_s=15.0)
        robot.stand()
        camera, policy, instruction = Go2Camera("lo", options.domain), RemotePolicy(client), simulator.info["instruction"]
        if options.primitives:
            result = follow(robot, camera, policy, client, instruction, options)
        else:
            result = drive(robot, camera, policy, instruction, options)
        load = subprocess.run(["uptime"], capture_output=True, text=True).stdout.split("load average:")[-1].strip()
        out.write(json.dumps(result | {"load average": load}, indent=1) + "\n")
        out.flush()


if __name__ == "__main__":
    main(tyro.cli(Options))

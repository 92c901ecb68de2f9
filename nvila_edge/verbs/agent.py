"""`nvila-edge agent`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True)
class Agent:
    """Follow one instruction with a camera and a robot; the model runs in a server."""

    example: ClassVar[str] = 'nvila-edge agent --server tcp://127.0.0.1:5555 --camera frames/ --instruction "Go to the sofa." --dry-run'
    server: str
    """Address of a running `nvila-edge serve`."""
    camera: str
    """webcam, webcam:N, /dev/videoN, realsense, realsense:SERIAL, realsense:FILE.db3, a folder of images, one image, or a video file; go2:INTERFACE,
    a Go2's own."""
    instruction: str
    """Where to go, in words; @FILE: the text of a file; - : line by line from standard input, where a new line cancels the one under way."""
    robot: str = "dry-run"
    """What moves: dry-run only says what it would do; go2:INTERFACE, such as go2:eth0, is a Unitree Go2 on that network (go2:INTERFACE:DOMAIN for another
    DDS domain than 0); kinematic is a simulated point; tcp://127.0.0.1:PORT is a robot's process (python -m agents.robots.serve)."""
    profile: str | None = None
    """The agent: ours, ours-text, navila, navila-bench, navid; left out: the one that the model is meant for."""
    dry_run: bool = False
    """Decide, but move nothing, whatever the robot is."""
    view: int | None = None
    """Port of a page on this computer that shows the camera with the decision drawn over it; 0 picks a free one."""

    overlap: bool = False
    """Think while moving: ask for the next action before the current one ends."""

    keys: Path | None = None
    """Folder of this client's keys, as the server's side made it; needed for a server on another computer."""

    zones: Path | None = None
    """YAML file of polygons, in the frame of the robot's odometry, that it must stay in (keep_in) or out of (stop); agents/zones.py shows one."""

    limits: Path | None = None
    """YAML file of velocity and acceleration limits with nav2's names; agents/limits.py shows one. A robot's process (tcp://..) has its own besides."""

    record: Path | None = None
    """New folder for a recording (MCAP with ROS 2 schemas: Foxglove, `ros2 bag play`, `nvila-edge replay`)."""
    record_last: float | None = None
    """Record only the last so many seconds before anything that goes wrong: a rejected answer, a lost server, an e-stop, a fault."""

    def run(self) -> None:
        import sys

        from agents.instructions import STDIN, instruction_text
        from agents.limits import read_limits
        from agents.main import run_agent, run_lines
        from agents.telling import Record
        from agents.view import LiveView
        from agents.zones import read_zones

        if self.record is None and self.record_last is not None:
            raise ValueError(f"--record-last {self.record_last:g} needs a folder: --record DIR")
        robot = "dry-run" if self.dry_run else self.robot
        text = STDIN if self.instruction == STDIN else instruction_text(self.instruction)
        view = None if self.view is None else LiveView(self.view, "standard input" if text == STDIN else text)
        if view is not None:
            print(f"live view: {view.url}", flush=True)

        def tell(event: Any) -> None:
            _tell(event)
            if view is not None:
                view(event)

        record = None if self.record is None else Record(self.record, self.record_last)
        options: dict[str, Any] = {
            "robot": robot, "profile": self.profile, "on_event": tell, "keys": self.keys, "overlap": self.overlap, "record": record,
            "on_warning": _beware, "zones": () if self.zones is None else read_zones(self.zones),
            "limits": None if self.limits is None else read_limits(self.limits),
        }  # fmt: skip
        try:
            if text == STDIN:
                if isinstance(sys.stdin, io.TextIOWrapper):
                    sys.stdin.reconfigure(errors="replace")  # a byte that is no UTF-8 must not end the reading
                ended = run_lines(self.server, self.camera, sys.stdin, **options)
            else:
                ended = run_agent(self.server, self.camera, text, **options)
        except KeyboardInterrupt:
            print("cancelled: the robot is halted", flush=True)
            raise SystemExit(130) from None
        finally:
            if view is not None:
                view.close()
        if ended is not None and ended.fault:
            raise SystemExit(1)


def _beware(text: str) -> None:
    print(f"beware: {text}", flush=True)


def _tell(event: Any) -> None:
    """One line per event that people care about."""
    from agents.events import Decided, Ended, RobotBack, RobotLost, ServerBack, ServerLost, Withheld

    match event:
        case Decided(decision=decision, latency_ms=latency_ms):
            print(f"{decision.text}  (p {decision.probability:.2f}, {latency_ms:.0f} ms)", flush=True)
        case Withheld(message=message) | ServerLost(message=message) | RobotLost(message=message):
            print(f"halted: {message}", flush=True)
        case ServerBack(outage_ms=outage_ms):
            print(f"the server is back after {outage_ms / 1000:.1f} s", flush=True)
        case RobotBack(outage_ms=outage_ms):
            print(f"the robot is back after {outage_ms / 1000:.1f} s", flush=True)
        case Ended(reason=reason, message=message, primitives=primitives):
            print(f"ended: {reason} after {primitives} steps" + (f" ({message})" if message else ""), flush=True)

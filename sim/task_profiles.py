"""The tasks that published systems are measured on: camera, steps, sliding and body, as named constants (each repository's task YAML)."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from nvila_edge.navigation.agent_profiles import AgentProfile
from sim.renderer import CAMERA_HEIGHT_M, CAMERA_PX, HFOV_DEG

SHIPPED_RADIUS_M, SHIPPED_HEIGHT_M = 0.1, 1.5  # the body that Matterport's .navmesh files, and Habitat's default settings, are made for


@dataclass(frozen=True)
class TaskProfile:
    """What an episode is played with. Lengths in metres; the horizontal field of view, turn and tilt in degrees; pitch is 0.

    `tilt_deg` is what LOOK_UP and LOOK_DOWN turn the camera by where the task has them (0: it has not); no policy here looks up or down.
    `sliding`: a blocked step slides along the obstacle. `max_steps` counts primitives, the stop included.
    """

    name: str
    width: int
    height: int
    hfov_deg: float
    camera_height_m: float
    forward_m: float = 0.25
    turn_deg: float = 15.0
    tilt_deg: float = 0.0
    sliding: bool = True
    max_steps: int = 500
    agent_radius_m: float = SHIPPED_RADIUS_M
    agent_height_m: float = SHIPPED_HEIGHT_M

    @property
    def needs_own_navmesh(self) -> bool:
        """Whether the navmesh beside a scene doesn't fit: it is computed anew when the body differs from the one that it was made for.

        Habitat 0.1.7, which the published figures come from, does so by itself; 0.3 only when it is told to.
        """
        return (self.agent_radius_m, self.agent_height_m) != (SHIPPED_RADIUS_M, SHIPPED_HEIGHT_M)


TASK_PROFILES: dict[str, TaskProfile] = {
    profile.name: profile
    for profile in (
        # VLN-CE's R2R task, and what our own houses are walked with
        TaskProfile("vlnce-r2r", CAMERA_PX, CAMERA_PX, HFOV_DEG, CAMERA_HEIGHT_M),
        TaskProfile("navila-r2r", 512, 512, 90.0, 1.25),
        # NaVid forces a stop after 400 steps: that is its agent's rule, not the task's
        TaskProfile("navid-r2r", 640, 480, 90.0, 1.25, turn_deg=30.0),
        TaskProfile(
            "rxr-official", 640, 480, 79.0, 0.88,
            turn_deg=30.0, tilt_deg=30.0, sliding=False, agent_radius_m=0.18, agent_height_m=0.88,
        ),
    )
}  # fmt: skip
DEFAULT = "vlnce-r2r"


def task_of(agent: AgentProfile) -> TaskProfile:
    """What an agent is measured on in our own houses: its own camera and turns."""
    eye = agent.camera
    return TaskProfile(
        agent.name, eye.width_px, eye.height_px, eye.hfov_deg, eye.height_m, turn_deg=agent.steps.turn_deg, max_steps=agent.max_steps
    )


def task_profile(name: str) -> TaskProfile:
    """The profile of that name. Raises ValueError for an unknown one."""
    if name not in TASK_PROFILES:
        close = difflib.get_close_matches(name, TASK_PROFILES, n=1)
        suggestion = f" (did you mean {close[0]!r}?)" if close else ""
        raise ValueError(f"unknown task profile {name!r}{suggestion}; known: {', '.join(TASK_PROFILES)}")
    return TASK_PROFILES[name]

"""What an episode leaves behind: the loop's events as a record, and the line of results that follows from it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from agents.events import Decided, Ended
from nvila_edge.navigation.actions import Primitive
from sim.decisions import DecisionLog
from sim.episodes import Episode, GroundTruth
from sim.geometry import Pose
from sim.houses.house import Room
from sim.metrics import SUCCESS_M, episode_metrics
from sim.navmesh import NavMesh
from sim.policies import action_index, histogram, merged
from sim.results import Record
from sim.video import Shown

TOLERANCE_M = 0.1  # between the dataset's start and distance and what the house gives
SAME_M = 1e-5  # a start and a goal so near are one point: results are rounded to this
METRICS = ("distance_to_goal", "success", "spl", "oracle_success", "ndtw", "sdtw", "path_length", "collisions", "oracle_navigation_error")


class EpisodeError(RuntimeError):
    """An episode ended with a fault that is not the policy's. It is left out; several in a row are a sign that nothing works."""


class Interrupted(RuntimeError):
    """The server went away during an episode, or had no place for it: it counts as not begun."""


class LeftOut(Exception):
    """An episode cannot be played as the dataset has it; the message says why. It is counted and named, and the others go on."""


class Distances(Protocol):
    """Geodesic distances to one goal."""

    def distance(self, point: np.ndarray) -> float:
        """Metres from `point` [3]; inf when there is no way."""
        ...


class Walked(Protocol):
    """What an environment has recorded since its reset: positions (start first), collided and actions, one per primitive."""

    positions: list[tuple[float, float, float]]
    collided: list[bool]
    actions: list[Primitive]

    @property
    def pose(self) -> Pose:
        """Where the agent stands."""
        ...

    def distances_to(self, goal: np.ndarray) -> Distances:
        """Geodesic distances to `goal` [3]."""
        ...


class EpisodeRecord:
    """What the loop's events leave behind."""

    def __init__(self, env: Walked, log: DecisionLog) -> None:
        self.env, self.log = env, log
        self.poses: list[Pose] = [env.pose]
        self.owners: list[int] = []  # the decision behind each primitive
        self.shown: list[Shown] = []
        self.trace: list[Record] = []
        self.latency_ms: list[float] = []
        self._stages_ms: dict[str, float] = {}
        self.ended: Ended | None = None

    def decided(self, event: Decided) -> None:
        decision = event.decision
        self.log.decided(event, self.env.pose)
        self.latency_ms.append(event.latency_ms)
        for stage, value in decision.timing_ms.items():
            self._stages_ms[stage] = self._stages_ms.get(stage, 0.0) + value
        self.shown.append(
            Shown(decision.action, decision.probability, decision.candidates, event.latency_ms if decision.timing_ms else 0.0)
        )
        self.trace.append(
            {
                "step": len(self.env.actions), "action": action_index(decision.action), "text": decision.text,
                "probability": round(decision.probability, 4), "candidates": [round(value, 4) for value in decision.candidates],
                **({"rejected": True} if decision.rejected else {}),
            }
        )  # fmt: skip

    def executed(self) -> None:
        self.poses.append(self.env.pose)
        self.owners.append(len(self.shown) - 1)

    def stages(self) -> dict[str, float]:
        return {stage: round(value, 2) for stage, value in sorted(self._stages_ms.items())}


def check_house(episode: Episode, start: Pose, navmesh: NavMesh) -> None:
    """Houses are made from their names: one that differs from the dataset's would spoil every figure. An unreachable goal is no such sign.

    Raises LeftOut for a start that is not on the navmesh, and for a way of another length than the dataset tells.
    """
    away = math.dist(start.position_m[::2], episode.start_position[::2])  # from above: how high a rug's edge lies is a matter of the mesh
    if away > TOLERANCE_M:
        raise LeftOut(f"the start {_rounded(episode.start_position)} is inside something: the nearest walkable point is {away:.2f} m away")
    distance, told = navmesh.geodesic(np.array(start.position_m), np.array(episode.goal)), episode.geodesic_distance_m
    if math.isfinite(told) and math.isfinite(distance) and abs(distance - told) > TOLERANCE_M:
        raise LeftOut(
            f"in {episode.scene_id} the way from start to goal is {distance:.2f} m, the dataset says {told:.2f} m: "
            "another version of nvila-edge made it; make it again with `nvila-edge data houses`"
        )


def episode_result(
    episode: Episode, instruction: str, env: Walked, record: EpisodeRecord, truth: GroundTruth | None, rooms: Sequence[Room]
) -> tuple[Record, list[float]]:
    """The episode's line of results, and the geodesic distance to the goal at every position."""
    distances = measured(env.positions, env.distances_to(np.array(episode.goal)))
    locations = [list(point) for point in (truth.locations if truth is not None else episode.reference_path or env.positions[:1])]
    actions = [int(action) for action in env.actions]
    metrics = episode_metrics([list(p) for p in env.positions], actions, distances, env.collided, locations, SUCCESS_M)
    ended = record.ended
    assert ended is not None, "the loop's last event is Ended"
    if truth is None:  # VLN-CE measures nDTW against the ground-truth file only
        metrics |= {"ndtw": math.nan, "sdtw": math.nan}
    if distances[0] < SAME_M:  # Habitat cannot even begin such an episode (0 / 0 at reset), so whatever the agent does, SPL says nothing
        metrics |= {"spl": math.nan}
    result: Record = {
        "episode_id": episode.episode_id, "scene_id": episode.scene_id, "instruction": instruction, "actions": actions,
        "positions": [_rounded(position) for position in env.positions], "steps": len(actions), "decisions": ended.decisions,
        "rejections": ended.rejections,
    }  # fmt: skip
    result |= {name: round(metrics[name], 6) for name in METRICS} | {"collisions": int(metrics["collisions"])}
    result |= {
        "ended": ended.reason, "shortest_path_length": round(distances[0], 6), "rooms_entered": rooms_entered(rooms, locations),
        "goal": _rounded(episode.goal), "reference": [_rounded(point) for point in locations],
        "expert_actions": histogram(merged(truth.actions)) if truth is not None else [0] * 10, "trace": record.trace,
    }  # fmt: skip
    return result, distances


def _rounded(point: tuple[float, ...] | list[float]) -> list[float]:
    """To a hundredth of a millimetre: what is below is noise of the last bits."""
    return [round(float(value), 5) for value in point]


def measured(positions: Sequence[tuple[float, float, float]], distances: Distances) -> list[float]:
    """The distance to the goal at every position, as habitat-lab measures it: anew only when the agent has moved by more than
    1e-4 m + 1e-5 of the coordinate, in any coordinate, since it was measured last (habitat-lab, DistanceToGoal: numpy.allclose with atol 1e-4)."""
    found: list[float] = []
    last: np.ndarray | None = None
    for position in positions:
        here = np.array(position)
        if last is None or not np.allclose(last, here, rtol=1e-5, atol=1e-4):
            found.append(distances.distance(here))
            last = here
        else:
            found.append(found[-1])
    return found


def rooms_entered(rooms: Sequence[Room], locations: list[list[float]]) -> int:
    """How often a way enters another room than the one that it was in; points between rooms belong to the room before."""
    entered, before = 0, None
    for x, _, z in locations:
        room = next((room for room in rooms if room.contains(x, z)), None)
        if room is not None and before is not None and room.room_id != before:
            entered += 1
        before = room.room_id if room is not None else before
    return entered

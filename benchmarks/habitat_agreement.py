"""The same poses seen by our renderer and by Habitat: how much the frames differ, and whether a bundle decides alike.

    python -m benchmarks.habitat_agreement DATASET [--split val_unseen] [--episodes 20] [--bundle DIR] [--out FILE]

DATASET is a folder of `nvila-edge data houses`, with its GLBs. Poses are those of the expert's decisions; both sessions go on as if the expert's action
had been the answer, so that the frames alone differ. Frames pass through JPEG, as they do on their way to a server. `noise` is our own renderer against
itself with the camera 1 cm to the left: what agreement any second camera can have. Needs habitat_sim.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nvila_edge.engines import Engine, load_bundle
from nvila_edge.engines.session import Session
from nvila_edge.navigation.actions import Action, primitives
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from nvila_edge.shipped import BUNDLE
from sim.episodes import Episode, load_split
from sim.evaluate import spread
from sim.expert import expert_rollout
from sim.geometry import Pose
from sim.habitat import HabitatEnv, HabitatSim
from sim.habitat_scenes import find_scene
from sim.houses.library import HouseLibrary, scene_name
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from sim.task_profiles import DEFAULT, task_profile

NOISE_M = 0.01
CAMERAS = ("ours", "habitat", "noise")


@dataclass(frozen=True)
class Seen:
    """One pose: what each camera's session decided, its ten probabilities, and how far Habitat's picture is from ours (0-255)."""

    actions: dict[str, Action | None]
    candidates: dict[str, tuple[float, ...]]
    pixel_difference: float


def decision_poses(navmesh: NavMesh, episode: Episode) -> Iterator[tuple[Pose, Action]]:
    """Where the expert decides, and what."""
    rollout = expert_rollout(navmesh, episode.start, np.array(episode.goal))
    step = 0
    for action in rollout.actions:
        yield rollout.poses[step], action
        step += len(primitives(action))


def beside(pose: Pose) -> Pose:
    """The pose 1 cm to the left."""
    x, y, z = pose.position_m
    return Pose((x - NOISE_M * math.cos(pose.yaw_rad), y, z + NOISE_M * math.sin(pose.yaw_rad)), pose.yaw_rad)


def compare(engine: Engine, episode: Episode, navmesh: NavMesh, renderer: Renderer, env: HabitatEnv) -> Iterator[Seen]:
    """The expert's way through both cameras."""
    sessions: dict[str, Session] = {camera: engine.session(episode.instruction) for camera in CAMERAS}
    for pose, action in decision_poses(navmesh, episode):
        frames = {"ours": renderer.rgb(pose), "habitat": env.view(pose), "noise": renderer.rgb(beside(pose))}
        decisions = {
            camera: session.replay(engine.encode(decode_jpeg(encode_jpeg(frames[camera]))[None]), action)
            for camera, session in sessions.items()
        }
        yield Seen(
            {camera: decision.action for camera, decision in decisions.items()},
            {camera: decision.candidates for camera, decision in decisions.items()},
            float(np.abs(frames["ours"].astype(np.int16) - frames["habitat"]).mean()),
        )


def figures(seen: list[Seen]) -> dict[str, float]:
    """Percent of poses decided alike (all ten actions, and the verb alone), mean total variation of the probabilities, mean pixel difference."""
    found: dict[str, float] = {"poses": len(seen), "pixel_difference": round(float(np.mean([s.pixel_difference for s in seen])), 2)}
    for camera in CAMERAS[1:]:
        same = [s.actions["ours"] == s.actions[camera] for s in seen]
        verb = [type(s.actions["ours"]) is type(s.actions[camera]) for s in seen]
        apart = [0.5 * np.abs(np.subtract(s.candidates["ours"], s.candidates[camera])).sum() for s in seen]
        found |= {
            f"{camera}_same_action_percent": round(100 * float(np.mean(same)), 1),
            f"{camera}_same_verb_percent": round(100 * float(np.mean(verb)), 1),
            f"{camera}_total_variation": round(float(np.mean(apart)), 3),
        }
    return found


def main() -> None:
    """Prints (and writes) the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--split", default="val_unseen")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--bundle", type=Path, default=BUNDLE)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    engine, library, seen = load_bundle(options.bundle), HouseLibrary(1), []
    with ExitStack() as stack:
        renderer = stack.enter_context(closing(Renderer()))
        simulator = stack.enter_context(closing(HabitatSim(task_profile(DEFAULT))))
        for episode in spread(load_split(options.dataset, options.split).episodes, options.episodes):
            house, navmesh = library[scene_name(episode.scene_id)]
            renderer.show(house)
            env = HabitatEnv(simulator, find_scene(episode.scene_id, options.dataset, None))
            seen += compare(engine, episode, navmesh, renderer, env)
    text = json.dumps(figures(seen), indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Collects what training reads: labelled frames for the vision tower, and roll-outs of a policy that an expert corrects (DAgger)."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from nvila_edge.training.vision_pretrain import FrameSet
from sim.geometry import Pose
from sim.houses.categories import CATEGORIES, COLOURS, ROOM_KINDS
from sim.houses.house import House
from sim.houses.repaint import repainted
from sim.labels import Labeller, Seen
from sim.navmesh import NavMesh
from sim.renderer import Renderer


def as_served(rgb: np.ndarray, size: int) -> np.ndarray:
    """uint8 [size, size, 3] as a model behind the server sees a frame: through JPEG, then resized as nvila_edge.model.preprocess does."""
    received = decode_jpeg(encode_jpeg(rgb))
    return np.asarray(Image.fromarray(received).resize((size, size), Image.Resampling.BICUBIC))


def random_pose(navmesh: NavMesh, rng: np.random.Generator) -> Pose:
    """Anywhere walkable, looking anywhere."""
    x, y, z = (float(v) for v in navmesh.random_point(rng))
    return Pose((x, y, z), float(rng.uniform(-np.pi, np.pi)))


def collect_frames(
    house: House, navmesh: NavMesh, renderer: Renderer, count: int, size: int, grid: int, seed: int
) -> tuple[FrameSet, list[list[Seen]]]:
    """`count` labelled frames of one house from random poses, resized to `size`, and what is seen in each; repainted every 20 frames."""
    rng = np.random.default_rng([seed, *house.name.encode()])
    labeller = Labeller(house, grid)
    rgb = np.empty((count, size, size, 3), np.uint8)
    categories = np.empty((count, grid**2, len(CATEGORIES)), np.uint8)
    colours = np.empty((count, grid**2, len(COLOURS) + 1), np.uint8)
    depth, room = np.empty((count, grid**2), np.float16), np.empty(count, np.int64)
    seen = []
    for row in range(count):
        if row % 20 == 0:
            renderer.load(repainted(house, rng))
        pose = random_pose(navmesh, rng)
        observation = renderer.observe(pose)
        labels = labeller.dense(observation)
        rgb[row] = as_served(observation.rgb, size)
        categories[row], colours[row], depth[row] = labels.category_counts, labels.colour_counts, labels.depth_m
        place = house.room_at(pose.position_m[0], pose.position_m[2])
        room[row] = ROOM_KINDS.index(place.kind) if place else 0
        seen.append(labeller.seen(observation))
    return FrameSet(rgb, categories, colours, depth, room), seen


def save_frames(folder: Path, frames: FrameSet, seen: list[list[Seen]]) -> None:
    """One .npy a field and seen.json, complete or not there."""
    part = folder.with_suffix(".part")
    part.mkdir(parents=True, exist_ok=True)
    for name, value in vars(frames).items():
        np.save(part / f"{name}.npy", value)
    (part / "seen.json").write_text(json.dumps([[asdict(thing) for thing in frame] for frame in seen]))
    part.rename(folder)


def load_frames(folders: list[Path]) -> tuple[FrameSet, list[list[Seen]]]:
    """What `save_frames` wrote, joined in the order given."""
    fields = {name: np.concatenate([np.load(folder / f"{name}.npy") for folder in folders]) for name in FrameSet.__dataclass_fields__}
    seen = [[Seen(**thing) for thing in frame] for folder in folders for frame in json.loads((folder / "seen.json").read_text())]
    return FrameSet(**fields), seen

"""Words on walls: the paintings of a house become signs that can be read."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from sim.geometry import Pose, bearing
from sim.houses.categories import ROOM_KINDS
from sim.houses.house import House
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from sim.scenetalk.views import View, look

WORDS = (
    *(kind.upper() for kind in ROOM_KINDS if " " not in kind),
    "EXIT",
    "STAIRS",
    "PUSH",
    "PULL",
    "QUIET",
    "OPEN",
    "CLOSED",
    "LIFT",
    "CAFE",
    "STAFF",
)
_OFF_M = 0.5  # the nearest place to stand may be so far from the one that was drawn
_INKS = ((20, 20, 20), (170, 20, 20), (20, 60, 150), (20, 100, 40))
_PAPERS = ((250, 250, 245), (250, 235, 150), (210, 230, 250))


def sign_text(rng: np.random.Generator) -> str:
    """A word, or a room number."""
    return f"ROOM {rng.integers(1, 100)}" if rng.random() < 0.4 else str(rng.choice(WORDS))


def sign_picture(text: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """uint8 [size, size, 3]: the words of the text below one another, as large as fits, in a frame."""
    ink, paper = _INKS[rng.integers(len(_INKS))], _PAPERS[rng.integers(len(_PAPERS))]
    picture = np.full((size, size, 3), paper, np.uint8)
    cv2.rectangle(picture, (2, 2), (size - 3, size - 3), ink, max(1, size // 40))
    words = text.split()
    for row, word in enumerate(words):
        (width, height), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, 1.0, 2)
        scale = min(0.84 * size / width, 0.5 * size / len(words) / height)
        (width, height), _ = cv2.getTextSize(word, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        middle = size * (row + 0.5) / len(words)
        at = (round((size - width) / 2), round(middle + height / 2))
        cv2.putText(picture, word, at, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, max(1, round(2.2 * scale)), cv2.LINE_AA)
    return picture


def with_signs(house: House, rng: np.random.Generator) -> tuple[House, dict[int, str]]:
    """The house with a sign in the place of every painting whose picture hangs nowhere else, and the text by thing id."""
    mesh, textures, texts = house.mesh, house.textures.copy(), {}
    for thing in house.things:
        if thing.category != "painting":
            continue
        layers = np.unique(mesh.texture[mesh.thing == thing.thing_id])
        own = [layer for layer in layers if layer and not (mesh.texture[mesh.thing != thing.thing_id] == layer).any()]
        if len(own) == 1:
            texts[thing.thing_id] = sign_text(rng)
            textures[own[0]] = sign_picture(texts[thing.thing_id], textures.shape[1], rng)
    return replace(house, textures=textures), texts


def sign_view(house: House, navmesh: NavMesh, renderer: Renderer, texts: dict[int, str], rng: np.random.Generator) -> View | None:
    """A view from 0.8 to 2 m in front of one of the signs, which the renderer shows; None where nobody can stand."""
    if not texts:
        return None
    sign = house.things[int(rng.choice(sorted(texts)))]
    aside_rad, distance_m = rng.uniform(-0.5, 0.5), rng.uniform(0.8, 2.0)
    out = Pose((0.0, 0.0, 0.0), sign.yaw_rad + aside_rad).heading
    place = np.array(sign.centre) * (1, 0, 1) + distance_m * out
    stand = navmesh.snap(np.array([place[0], navmesh.main_island.y_min_m, place[2]]))
    if not np.isfinite(stand).all() or np.hypot(stand[0] - place[0], stand[2] - place[2]) > _OFF_M:
        return None
    x, y, z = stand.tolist()
    yaw_rad = bearing(stand, np.array(sign.centre)) + rng.uniform(-0.25, 0.25)
    return look(house, renderer, Pose((x, y, z), yaw_rad))

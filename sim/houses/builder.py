"""Collects quads and furniture models into one house mesh; textures are numbered as they are first used."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from sim.houses.furniture.model import Model
from sim.houses.house import Mesh

Colour = Sequence[float]
_FIELDS = ("position", "normal", "uv", "colour", "texture", "thing")


_NO_UV = np.zeros((4, 2))


def _faces(corners: list[list[float]], normal: Colour) -> bool:
    """Whether a face's corners run counter-clockwise seen from where `normal` points (plain floats: ten times faster than np.cross)."""
    (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[:3]
    ux, uy, uz, vx, vy, vz = bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az
    return (uy * vz - uz * vy) * normal[0] + (uz * vx - ux * vz) * normal[1] + (ux * vy - uy * vx) * normal[2] >= 0


class MeshBuilder:
    """Everything in metres, world frame. `texture` gives uint8 [128, 128, 3] for a name; layer 0 is white."""

    def __init__(self, texture: Callable[[str], np.ndarray]) -> None:
        self._texture = texture
        self._layers: dict[str, int] = {"white": 0}
        self._parts: list[dict[str, np.ndarray]] = []
        self._triangles: list[np.ndarray] = []
        self._quads: list[tuple[np.ndarray, Colour, np.ndarray, np.ndarray, int, int]] = []
        self._count = 0

    def layer(self, name: str) -> int:
        """The layer of a texture by name."""
        return self._layers.setdefault(name, len(self._layers))

    def quad(
        self, corners: np.ndarray, normal: Colour, colours: np.ndarray, thing: int, texture: str = "white",
        uv: np.ndarray | None = None, lit: Colour | None = None,
    ) -> None:  # fmt: skip
        """One face: corners [4, 3] in order around it, seen from where `normal` [3] points; colours [3] or [4, 3]; uv [4, 2].

        `lit` [3] is the normal that the light sees, where it is another one: panes are bright on every wall.
        """
        corners = np.asarray(corners, dtype=np.float64)
        colours = np.broadcast_to(np.asarray(colours, dtype=np.float64), (4, 3))
        uv = _NO_UV if uv is None else np.asarray(uv, dtype=np.float64)
        if not _faces(corners.tolist(), normal):
            corners, colours, uv = corners[::-1], colours[::-1], uv[::-1]
        self._quads.append((corners, lit or normal, colours, uv, self.layer(texture), thing))

    def sheet(self, xs: np.ndarray, zs: np.ndarray, y: float, colours: np.ndarray, thing: int, texture: str, tile_m: float) -> None:
        """A level sheet seen from above on grid lines xs [X], zs [Z]; colours [Z, X, 3] at the crossings; texture in world coordinates."""
        x, z = np.meshgrid(xs, zs)
        rows, columns = np.arange(len(zs) - 1)[:, None] * len(xs), np.arange(len(xs) - 1)[None, :]
        a = (rows + columns).reshape(-1)
        b, c, d = a + len(xs), a + len(xs) + 1, a + 1
        count = x.size
        part = {
            "position": np.stack([x.ravel(), np.full(count, y), z.ravel()], axis=1),
            "normal": np.tile([0.0, 1.0, 0.0], (count, 1)),
            "uv": np.stack([x.ravel(), z.ravel()], axis=1) / tile_m,
            "colour": colours.reshape(-1, 3),
            "texture": np.full(count, self.layer(texture)),
            "thing": np.full(count, thing),
        }
        self._append(part, np.concatenate([np.stack([a, b, c], axis=1), np.stack([a, c, d], axis=1)]))

    def box(self, low: Colour, high: Colour, colour: Colour, thing: int, skip: str = "") -> None:
        """A closed box between two corners; `skip` leaves out faces of "xXyYzZ" (capitals: the high side)."""
        for axis in range(3):
            others = [a for a in range(3) if a != axis]
            for side, value in enumerate((low[axis], high[axis])):
                if "xXyYzZ"[2 * axis + side] in skip:
                    continue
                corners = np.zeros((4, 3))
                corners[:, axis] = value
                corners[:, others[0]] = (low[others[0]], high[others[0]], high[others[0]], low[others[0]])
                corners[:, others[1]] = (low[others[1]], low[others[1]], high[others[1]], high[others[1]])
                normal = [0.0, 0.0, 0.0]
                normal[axis] = 1.0 if side else -1.0
                self.quad(corners, normal, np.asarray(colour), thing)

    def model(self, model: Model, origin: Sequence[float], yaw_rad: float, thing: int) -> None:
        """A piece of furniture, its floor point at `origin` [3], turned by yaw."""
        c, s = round(math.cos(yaw_rad), 12), round(math.sin(yaw_rad), 12)
        turn = np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
        layers = np.array([self.layer(name) for name in model.texture_names] or [0], dtype=np.int32)
        part = {
            "position": model.position.astype(np.float64) @ turn.T + np.asarray(origin, dtype=np.float64),
            "normal": model.normal.astype(np.float64) @ turn.T,
            "uv": model.uv,
            "colour": model.colour,
            "texture": layers[model.texture],
            "thing": np.full(len(model.position), thing),
        }
        self._append(part, model.triangles)

    def _append(self, part: dict[str, np.ndarray], triangles: np.ndarray) -> None:
        self._parts.append(part)
        self._triangles.append(triangles.astype(np.int64) + self._count)
        self._count += len(part["position"])

    def _flush_quads(self) -> None:
        count = len(self._quads)
        corners, normals, colours, uvs, layers, things = zip(*self._quads, strict=True)
        part = {
            "position": np.concatenate(corners),
            "normal": np.repeat(np.asarray(normals, dtype=np.float64), 4, axis=0),
            "uv": np.concatenate(uvs),
            "colour": np.concatenate(colours),
            "texture": np.repeat(layers, 4),
            "thing": np.repeat(things, 4),
        }
        triangles = (np.arange(count)[:, None, None] * 4 + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
        self._quads = []
        self._append(part, triangles)

    def finish(self) -> tuple[Mesh, np.ndarray]:
        """The mesh and its textures uint8 [L, 128, 128, 3]."""
        if self._quads:
            self._flush_quads()
        joined = {name: np.concatenate([part[name] for part in self._parts]) for name in _FIELDS}
        kinds = {"texture": np.int32, "thing": np.int32}
        fields = {name: np.ascontiguousarray(joined[name], dtype=kinds.get(name, np.float32)) for name in _FIELDS}
        white = np.full((128, 128, 3), 255, dtype=np.uint8)
        textures = np.stack([white, *(self._texture(name) for name in self._layers if name != "white")])
        return Mesh(**fields, triangles=np.concatenate(self._triangles).astype(np.int32)), textures

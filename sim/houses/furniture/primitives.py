"""A small mesh toolkit: every shape is a closed solid (or a doubled face), so that nothing looks hollow with back faces culled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sim.houses.furniture.model import Model

RGB = tuple[float, float, float]
Point = Sequence[float] | np.ndarray


@dataclass(frozen=True)
class Paint:
    """What a face looks like: colour (sRGB 0..1) times texture; `tile_m` is one repeat in metres, 0 fits one image to each face."""

    colour: RGB
    texture: str = "white"
    tile_m: float = 0.5


# The corners of a box's faces as seen from outside: top left, bottom left, bottom right, top right; bits are (x, y, z) high.
_BOX_FACES = {
    "-z": ((1, 1, 0), (1, 0, 0), (0, 0, 0), (0, 1, 0)),
    "+z": ((0, 1, 1), (0, 0, 1), (1, 0, 1), (1, 1, 1)),
    "+x": ((1, 1, 1), (1, 0, 1), (1, 0, 0), (1, 1, 0)),
    "-x": ((0, 1, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)),
    "+y": ((1, 1, 1), (1, 1, 0), (0, 1, 0), (0, 1, 1)),
    "-y": ((0, 0, 1), (0, 0, 0), (1, 0, 0), (1, 0, 1)),
}
_FIT = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], dtype=np.float64)


class Sketch:
    """Collects faces in metres; `model()` turns them into arrays. Angles in degrees."""

    def __init__(self) -> None:
        self._quads: list[tuple[Sequence[Point], Paint]] = []
        self._triangles: list[tuple[Sequence[Point], Paint]] = []

    def quad(self, top_left: Point, bottom_left: Point, bottom_right: Point, top_right: Point, paint: Paint, double: bool = False) -> None:
        """One planar face, corners counter-clockwise seen from its visible side; `double` adds the other side."""
        self._quads.append(((top_left, bottom_left, bottom_right, top_right), paint))
        if double:
            self._quads.append(((top_right, bottom_right, bottom_left, top_left), paint))

    def triangle(self, a: Point, b: Point, c: Point, paint: Paint, double: bool = False) -> None:
        """One triangle, counter-clockwise seen from its visible side; `double` adds the other side."""
        self._triangles.append(((a, b, c), paint))
        if double:
            self._triangles.append(((a, c, b), paint))

    def taper(self, low: Point, high: Point, top: tuple[float, float], paint: Paint, faces: Mapping[str, Paint] | None = None) -> None:
        """A box from corner `low` to corner `high` whose top is scaled by `top` (x, z) about its middle; `faces` repaints e.g. "-z"."""
        centre = ((low[0] + high[0]) / 2, (low[2] + high[2]) / 2)

        def corner(bits: tuple[int, int, int]) -> Point:
            scale = top if bits[1] else (1.0, 1.0)
            x, z = (high if bits[0] else low)[0], (high if bits[2] else low)[2]
            return (centre[0] + (x - centre[0]) * scale[0], (high if bits[1] else low)[1], centre[1] + (z - centre[1]) * scale[1])

        for name, corners in _BOX_FACES.items():
            self._quads.append((tuple(corner(c) for c in corners), (faces or {}).get(name, paint)))

    def box(self, low: Point, high: Point, paint: Paint, faces: Mapping[str, Paint] | None = None) -> None:
        """An axis-aligned box between two corners (metres); `faces` repaints single faces, e.g. {"-z": screen}."""
        self.taper(low, high, (1.0, 1.0), paint, faces)

    def cushion(self, low: Point, high: Point, bevel_m: float, paint: Paint) -> None:
        """A box with bevelled edges and corners (44 triangles): upholstery, enamel."""
        lo, hi = np.asarray(low, float), np.asarray(high, float)
        inset = np.minimum(bevel_m, (hi - lo) * 0.45)

        def corner(bits: Sequence[int], axis: int) -> Point:  # the corner's point that lies on the face across `axis`
            outer = np.where(bits, hi, lo)
            inner = outer + np.where(bits, -inset, inset)
            return tuple(outer[i] if i == axis else inner[i] for i in range(3))

        for name, corners in _BOX_FACES.items():
            axis = "xyz".index(name[1])
            self._quads.append((tuple(corner(c, axis) for c in corners), paint))
            for a, b in zip(corners, corners[1:] + corners[:1]):
                other = next(i for i in range(3) if i != axis and a[i] == b[i])
                if axis < other:  # each edge strip once
                    self._quads.append(((corner(b, axis), corner(a, axis), corner(a, other), corner(b, other)), paint))
        for bits in np.ndindex(2, 2, 2):
            a, b, c = (corner(bits, axis) for axis in ((0, 1, 2) if sum(bits) % 2 else (2, 1, 0)))
            self.triangle(a, b, c, paint)

    def tube(self, a: Point, b: Point, radius_a: float, paint: Paint, radius_b: float | None = None, sides: int = 8) -> None:
        """A closed cylinder or cone frustum from point a to point b."""
        start, end = np.asarray(a, float), np.asarray(b, float)
        axis = (end - start) / np.linalg.norm(end - start)
        u = np.cross(axis, (0.0, 0.0, 1.0) if abs(axis[2]) < 0.9 else (1.0, 0.0, 0.0))
        u /= np.linalg.norm(u)
        circle = _circle(sides) @ np.stack([u, np.cross(axis, u)])
        self._loft([start + circle * radius_a, end + circle * (radius_a if radius_b is None else radius_b)], paint)

    def lathe(
        self, centre: Point, profile: Sequence[tuple[float, float]], paint: Paint, sides: int = 10, scale: tuple[float, float] = (1, 1)
    ) -> None:
        """Turns `profile` (radius, height) about a vertical axis, from the outside bottom up; `scale` (x, z) makes it oval."""
        flat = _circle(sides) * scale
        circle = np.stack([flat[:, 0], np.zeros(sides), -flat[:, 1]], 1)
        self._loft([np.asarray(centre) + circle * r + (0, y, 0) for r, y in profile], paint)

    def sphere(self, centre: Point, radius: float | tuple[float, float, float], paint: Paint, sides: int = 8, rings: int = 5) -> None:
        """A low-poly ball or ellipsoid about `centre`."""
        rx, ry, rz = (radius,) * 3 if isinstance(radius, float | int) else radius
        angles = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
        profile = [(float(np.cos(t)) if abs(t) < 1.57 else 0.0, float(np.sin(t) * ry)) for t in angles]
        self.lathe(centre, profile, paint, sides, (rx, rz))

    def ring(self, centre: Point, radius: float, thickness: float, axis: str, paint: Paint, sides: int = 16, section: int = 4) -> None:
        """A torus about the axis "x", "y" or "z": wheels, handles, frames. `thickness` is the tube's radius."""
        turn = np.roll(np.eye(3), "xyz".index(axis), axis=1)
        rims = []
        for angle in np.arange(sides) * 2 * np.pi / sides:
            out = np.array([0.0, np.cos(angle), np.sin(angle)])
            small = _circle(section)[::-1]
            rims.append(
                (out * radius + thickness * (small[:, :1] * out + small[:, 1:] * np.array([1.0, 0, 0]))) @ turn + np.asarray(centre)
            )
        self._loft([*rims, rims[0]], paint, caps=False)

    def slab(self, outline: Sequence[tuple[float, float]], axis: str, low: float, high: float, paint: Paint) -> None:
        """Extrudes a simple polygon (either direction) along `axis`; its plane is (y, z), (z, x) or (x, y) for "x", "y", "z"."""
        if sum(a[0] * b[1] - a[1] * b[0] for a, b in zip(outline, [*outline[1:], outline[0]])) < 0:
            outline = outline[::-1]
        turn = np.roll(np.eye(3), "xyz".index(axis), axis=1)

        def lift(p: tuple[float, float], at: float) -> Point:
            return tuple(np.array([at, p[0], p[1]]) @ turn)

        for a, b in zip(outline, [*outline[1:], outline[0]]):
            self._quads.append(((lift(a, high), lift(a, low), lift(b, low), lift(b, high)), paint))
        for i, j, k in _ears(outline):
            self.triangle(lift(outline[i], high), lift(outline[j], high), lift(outline[k], high), paint)
            self.triangle(lift(outline[k], low), lift(outline[j], low), lift(outline[i], low), paint)

    def join(self, other: Sketch, at: Point = (0, 0, 0), yaw: float = 0, pitch: float = 0, roll: float = 0) -> None:
        """Adds another sketch, rolled about z, then pitched about x, then turned about y (degrees), then moved to `at`."""
        cy, sy, cp, sp, cr, sr = (f(np.radians(angle)) for angle in (yaw, pitch, roll) for f in (np.cos, np.sin))
        turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]]) @ np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
        turn = turn @ np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
        for source, target in ((other._quads, self._quads), (other._triangles, self._triangles)):
            target.extend((np.asarray(points, float) @ turn.T + np.asarray(at), paint) for points, paint in source)

    def model(self) -> Model:
        """The sketch as arrays, moved so that its footprint is centred and its lowest point lies at y = 0."""
        quads = np.array([p for p, _ in self._quads], dtype=np.float64).reshape(-1, 4, 3)
        triangles = np.array([p for p, _ in self._triangles], dtype=np.float64).reshape(-1, 3, 3)
        position = np.concatenate([quads.reshape(-1, 3), triangles.reshape(-1, 3)])
        low, high = position.min(0), position.max(0)
        position -= ((low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2)
        paints = [p for _, p in self._quads for _ in range(4)] + [p for _, p in self._triangles for _ in range(3)]
        names = tuple(dict.fromkeys(p.texture for p in paints))
        normal_q = np.repeat(_unit(np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])), 4, axis=0)
        normal_t = np.repeat(_unit(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])), 3, axis=0)
        first, base = np.arange(len(quads))[:, None] * 4, len(quads) * 4
        index = np.concatenate([
            (first + np.array([0, 1, 2, 0, 2, 3])).reshape(-1, 3),
            base + np.arange(len(triangles) * 3).reshape(-1, 3),
        ])  # fmt: skip
        corners = position[index]
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
        tile_q = np.array([p.tile_m for _, p in self._quads])
        uv = np.concatenate([_quad_uv(quads, tile_q).reshape(-1, 2), _flat_uv(triangles, [p.tile_m for _, p in self._triangles])])
        return Model(
            position=position.astype(np.float32),
            normal=np.concatenate([normal_q, normal_t]).astype(np.float32),
            uv=uv.astype(np.float32),
            colour=np.array([p.colour for p in paints], dtype=np.float32),
            texture=np.array([names.index(p.texture) for p in paints], dtype=np.int32),
            texture_names=names,
            triangles=index[area > 1e-10].astype(np.int32),  # the poles of turned shapes leave triangles without area
            size=(float(high[0] - low[0]), float(high[1] - low[1]), float(high[2] - low[2])),
        )

    def _loft(self, rims: Sequence[np.ndarray], paint: Paint, caps: bool = True) -> None:
        """Joins rims (each [sides, 3], counter-clockwise about the direction of travel) with quads and closes both ends."""
        for low, high in zip(rims, rims[1:]):
            for i in range(len(low)):
                j = (i + 1) % len(low)
                self._quads.append(((high[i], low[i], low[j], high[j]), paint))
        if caps:
            for rim, order in ((rims[0], -1), (rims[-1], 1)):
                points = rim[::order]
                if np.ptp(points, axis=0).max() > 1e-6:
                    for i in range(1, len(points) - 1):
                        self.triangle(points[0], points[i], points[i + 1], paint)


def _circle(sides: int) -> np.ndarray:
    """float [sides, 2]: a unit circle, counter-clockwise, a flat side downwards."""
    angles = (np.arange(sides) + 0.5) * 2 * np.pi / sides - np.pi / 2
    return np.stack([np.cos(angles), np.sin(angles)], 1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _quad_uv(quads: np.ndarray, tile_m: np.ndarray) -> np.ndarray:
    """float [N, 4, 2]: u along the top edge, v down the left edge, in repeats (or 0..1 where the tile is 0)."""
    width = np.linalg.norm(quads[:, [3, 2]] - quads[:, [0, 1]], axis=-1).max(1)
    height = np.linalg.norm(quads[:, [1, 2]] - quads[:, [0, 3]], axis=-1).max(1)
    extent = np.stack([width, height], 1) / np.where(tile_m > 0, tile_m, 1.0)[:, None]
    return _FIT * np.where(tile_m[:, None] > 0, extent, 1.0)[:, None]


def _flat_uv(triangles: np.ndarray, tile_m: Sequence[float]) -> np.ndarray:
    """float [N * 3, 2]: each triangle seen along the main axis of its normal, in repeats."""
    if not len(triangles):
        return np.zeros((0, 2))
    axis = np.abs(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])).argmax(1)
    pair = np.array([[2, 1], [0, 2], [0, 1]])[axis]
    uv = np.take_along_axis(triangles, pair[:, None, :].repeat(3, 1), axis=2) * (1, -1)
    return (uv / np.maximum(np.asarray(tile_m), 0.5)[:, None, None]).reshape(-1, 2)


def _ears(outline: Sequence[tuple[float, float]]) -> list[tuple[int, int, int]]:
    """Triangles (indices) of a simple counter-clockwise polygon by ear clipping."""
    points, left, ears = np.asarray(outline, float), list(range(len(outline))), []

    def cross(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
        return float((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    while len(left) > 3:
        for n in range(len(left)):
            i, j, k = left[n - 1], left[n], left[(n + 1) % len(left)]
            a, b, c = points[i], points[j], points[k]
            inside = any(
                cross(a, b, p) >= 0 and cross(b, c, p) >= 0 and cross(c, a, p) >= 0 for m in left if m not in (i, j, k) for p in [points[m]]
            )
            if cross(a, b, c) > 0 and not inside:
                ears.append((i, j, k))
                left.pop(n)
                break
        else:
            raise AssertionError("slab outline is not a simple counter-clockwise polygon")
    return [*ears, (left[0], left[1], left[2])]

"""The map of a house as people read it: the picture from above with room names, for reports and videos."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from sim.geometry import Pose
from sim.houses.house import Room
from sim.metrics import SUCCESS_M
from sim.renderer import MapTransform
from sim.results import write_atomic, write_json

Colour = tuple[int, int, int]
PATH, REFERENCE, GOAL, START = (37, 99, 235), (31, 41, 55), (22, 163, 74), (17, 24, 39)
SCALE = 2  # overlays are drawn at twice the size and reduced: smooth lines


@functools.cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font (Aileron): the same letters on every machine."""
    loaded = ImageFont.load_default(size)
    assert isinstance(loaded, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return loaded


@dataclass(frozen=True)
class HouseMap:
    """A picture from above, rgb uint8 [H, W, 3], and where world points lie in it."""

    rgb: np.ndarray
    transform: MapTransform

    def save(self, folder: Path, name: str) -> None:
        """Write `folder/name.jpg` and `name.json`. Raises OutputError."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / f"{name}.jpg", self.jpeg())
        t = self.transform
        write_json(folder / f"{name}.json", {"x_min_m": t.x_min_m, "z_min_m": t.z_min_m, "pixels_per_m": t.pixels_per_m})

    def jpeg(self) -> bytes:
        """The picture as JPEG, about 40 kB."""
        buffer = io.BytesIO()
        Image.fromarray(self.rgb).save(buffer, "JPEG", quality=82, optimize=True)
        return buffer.getvalue()

    @staticmethod
    def load(folder: Path, name: str) -> HouseMap | None:
        """What `save` wrote, or None when there is none that can be read."""
        if not ((folder / f"{name}.jpg").exists() and (folder / f"{name}.json").exists()):
            return None
        try:
            rgb = np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB"))
            return HouseMap(rgb, MapTransform(**json.loads((folder / f"{name}.json").read_bytes())))
        except (OSError, ValueError, TypeError, SyntaxError):  # damaged: it can be drawn again
            return None


class FromAbove(Protocol):
    """What can be drawn from above: a renderer with a house, or a scene of Habitat's."""

    def top_down(self, pixels_per_m: float) -> tuple[np.ndarray, MapTransform]:
        """uint8 [H, W, 3] and where world points lie in it."""
        ...


def draw_map(scene: FromAbove, rooms: Sequence[Room], longest_px: int = 640) -> HouseMap:
    """The scene's map, its longer side `longest_px`, slightly washed out, with the rooms' names."""
    rgb, transform = scene.top_down(20.0)
    pixels_per_m = 20.0 * longest_px / max(rgb.shape[:2])
    rgb, transform = scene.top_down(pixels_per_m)
    image = Image.fromarray((255 - (255 - rgb.astype(np.float32)) * 0.6).astype(np.uint8))
    canvas = ImageDraw.Draw(image)
    for room in rooms:
        x0, z0, x1, z1 = room.rect
        column, row = transform.pixels(np.array([(x0 + x1) / 2, 0.0, (z0 + z1) / 2]))
        size = 15 if (x1 - x0) * pixels_per_m > 90 else 11
        canvas.text((column, row), room.kind, (31, 41, 55), font(size), anchor="mm", stroke_width=3, stroke_fill=(255, 255, 255))
    return HouseMap(np.asarray(image), transform)


class MapView:
    """A square picture of a map with an episode's start, goal and reference; `draw` adds the way so far and the agent."""

    def __init__(self, house_map: HouseMap, size_px: int, reference: np.ndarray, start: np.ndarray, goal: np.ndarray) -> None:
        """reference [n, 3], start [3] and goal [3] in metres."""
        height, width = house_map.rgb.shape[:2]
        self._side = size_px * SCALE
        self._scale = (self._side - 2 * SCALE) / max(height, width)
        resized = Image.fromarray(house_map.rgb).resize((round(width * self._scale), round(height * self._scale)), Image.Resampling.LANCZOS)
        self._base = Image.new("RGB", (self._side, self._side), (255, 255, 255))
        self._offset = np.array([(self._side - resized.width) // 2, (self._side - resized.height) // 2])
        self._base.paste(resized, (int(self._offset[0]), int(self._offset[1])))
        self._transform = house_map.transform
        canvas = ImageDraw.Draw(self._base)
        self._goal_area(goal)
        canvas.line([tuple(point) for point in self._pixels(reference)], (255, 255, 255), 4 * SCALE)
        _dashes(canvas, self._pixels(reference), REFERENCE, 2 * SCALE, 7 * SCALE)
        _dot(canvas, self._pixels(start), 6 * SCALE, START)
        _dot(canvas, self._pixels(goal), 8 * SCALE, GOAL)
        _dot(canvas, self._pixels(goal), 3 * SCALE, (255, 255, 255), outline=False)

    def _pixels(self, points_m: np.ndarray) -> np.ndarray:
        return self._transform.pixels(points_m) * self._scale + self._offset

    def _goal_area(self, goal: np.ndarray) -> None:
        radius = SUCCESS_M * self._transform.pixels_per_m * self._scale
        x, y = self._pixels(goal)
        layer = Image.new("RGBA", self._base.size, (0, 0, 0, 0))
        ImageDraw.Draw(layer).ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*GOAL, 34), outline=(*GOAL, 120), width=SCALE)
        self._base.paste(layer, (0, 0), layer)

    def draw(self, positions: np.ndarray, pose: Pose) -> Image.Image:
        """The map after the agent has gone through positions [n, 3] and stands at `pose`: RGB, size_px x size_px."""
        image = self._base.copy()
        canvas = ImageDraw.Draw(image)
        points = [tuple(point) for point in self._pixels(positions)]
        if len(points) > 1:
            canvas.line(points, (255, 255, 255), 7 * SCALE, joint="curve")
            canvas.line(points, PATH, 4 * SCALE, joint="curve")
        self._agent(canvas, pose)
        return image.reduce(SCALE)

    def _agent(self, canvas: ImageDraw.ImageDraw, pose: Pose) -> None:
        centre = self._pixels(np.array(pose.position_m))
        ahead = np.array([pose.heading[0], pose.heading[2]])
        side = np.array([-ahead[1], ahead[0]])
        length = 13.0 * SCALE
        corners = [centre + ahead * length, centre - ahead * length * 0.7 + side * length * 0.75, centre - ahead * length * 0.35]
        corners.append(centre - ahead * length * 0.7 - side * length * 0.75)
        canvas.polygon([tuple(corner) for corner in corners], PATH, (255, 255, 255), width=2 * SCALE)


def _dot(canvas: ImageDraw.ImageDraw, centre: np.ndarray, radius: float, colour: Colour, outline: bool = True) -> None:
    x, y = centre
    box = (x - radius, y - radius, x + radius, y + radius)
    canvas.ellipse(box, colour, (255, 255, 255) if outline else None, width=2 * SCALE)


def _dashes(canvas: ImageDraw.ImageDraw, points: np.ndarray, colour: Colour, width: int, dash: int) -> None:
    """A dashed polyline through points [n, 2] in pixels."""
    along = 0.0
    for a, b in zip(points[:-1], points[1:], strict=True):
        length = float(np.linalg.norm(b - a))
        at = 0.0
        while at < length:
            step = min(dash - along % dash, length - at)
            if int(along // dash) % 2 == 0:
                canvas.line([tuple(a + (b - a) * at / length), tuple(a + (b - a) * (at + step) / length)], colour, width)
            at, along = at + step + 1e-9, along + step + 1e-9

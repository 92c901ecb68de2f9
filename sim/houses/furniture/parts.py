"""Parts that many pieces share: legs, fronts with drawers and doors, handles, rows of slats."""

from __future__ import annotations

from sim.houses.furniture.palette import Kit, shade
from sim.houses.furniture.primitives import Paint, Sketch


def legs(s: Sketch, width: float, depth: float, height: float, radius: float, paint: Paint, splay: float = 0.0, sides: int = 4) -> None:
    """Four legs from the floor to `height` whose feet stand at the corners of width x depth (m); tops come in by `splay`."""
    for x in (-1, 1):
        for z in (-1, 1):
            foot = (x * (width / 2 - radius), 0.0, z * (depth / 2 - radius))
            top = (x * (width / 2 - radius - splay), height, z * (depth / 2 - radius - splay))
            s.tube(foot, top, radius * 0.7, paint, radius, sides)


def square_legs(s: Sketch, width: float, depth: float, height: float, edge: float, paint: Paint) -> None:
    """Four upright square legs at the corners of width x depth (m)."""
    for x in (-width / 2, width / 2 - edge):
        for z in (-depth / 2, depth / 2 - edge):
            s.box((x, 0, z), (x + edge, height, z + edge), paint)


def front_panel(
    s: Sketch, low: tuple[float, float], high: tuple[float, float], z: float, paint: Paint, handle: Paint | None, side: int = 0
) -> None:
    """A drawer or door front, 15 mm proud of the face at `z`, with a gap around; handle across (side 0) or upright at one side (-1, 1)."""
    gap = 0.012
    s.box((low[0] + gap, low[1] + gap, z - 0.015), (high[0] - gap, high[1] - gap, z + 0.01), paint)
    if handle is None:
        return
    middle, upper = (low[0] + high[0]) / 2, (low[1] + high[1]) / 2
    if side == 0:
        half = min(0.09, (high[0] - low[0]) * 0.25)
        s.box((middle - half, upper - 0.012, z - 0.045), (middle + half, upper + 0.012, z - 0.015), handle)
    else:
        x = high[0] - 0.06 if side > 0 else low[0] + 0.06
        half = min(0.12, (high[1] - low[1]) * 0.2)
        s.box((x - 0.012, upper - half, z - 0.045), (x + 0.012, upper + half, z - 0.015), handle)


def drawers(
    s: Sketch, low: tuple[float, float], high: tuple[float, float], z: float, rows: int, columns: int, paint: Paint, handle: Paint
) -> None:
    """A grid of drawer fronts over the rectangle low..high (x, y) of the face at `z`."""
    step_x, step_y = (high[0] - low[0]) / columns, (high[1] - low[1]) / rows
    for i in range(columns):
        for j in range(rows):
            corner = (low[0] + i * step_x, low[1] + j * step_y)
            front_panel(s, corner, (corner[0] + step_x, corner[1] + step_y), z, paint, handle)


def doors(s: Sketch, low: tuple[float, float], high: tuple[float, float], z: float, count: int, paint: Paint, handle: Paint) -> None:
    """Door fronts side by side over the rectangle low..high (x, y) of the face at `z`, handles facing in pairs."""
    step = (high[0] - low[0]) / count
    for i in range(count):
        x = low[0] + i * step
        front_panel(s, (x, low[1]), (x + step, high[1]), z, paint, handle, 1 if i % 2 == 0 else -1)


def contrast(kit: Kit) -> Paint:
    """Lacquer that stands out from the main colour: lighter fronts on dark bodies, darker ones on light bodies."""
    light = sum(kit.main) / 3 > 0.5
    return Paint(shade(kit.main, 0.91 if light else 1.18), "grain", 0.7)


def handle_paint(kit: Kit) -> Paint:
    """Handles that can be seen: dark on light bodies, bright on dark ones."""
    return Paint((0.18, 0.18, 0.19)) if sum(kit.main) / 3 > 0.45 else Paint((0.85, 0.84, 0.80), "brushed")


def books_on_top(s: Sketch, k: Kit, x: float, y: float, z: float) -> None:
    """Two or three books lying on a surface at height `y`, about (x, z)."""
    for i, tone in enumerate(((0.75, 0.2, 0.2), (0.2, 0.35, 0.6), (0.9, 0.85, 0.7))[: k.one_of(2, 3)]):
        s.box((x - 0.14 + i * 0.02, y + i * 0.035, z - 0.1), (x + 0.14 - i * 0.02, y + 0.035 + i * 0.035, z + 0.1 - i * 0.01), Paint(tone))

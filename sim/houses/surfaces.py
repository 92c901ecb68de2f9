"""Walls, floors, ceilings, door frames and windows of a plan as textured quads with baked corner shadows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from sim.houses.builder import Colour, MeshBuilder
from sim.houses.house import Door, Room
from sim.houses.layouts import Rect, area_of, grown, overlap
from sim.houses.plan import CEILING_M, DOOR_HEIGHT_M, Border, Plan, border_of
from sim.houses.space import Window
from sim.houses.textures import WINDOW_VIEWS

FRAME_M = 0.08  # width of a door frame's face
PROUD_M = 0.02  # how far it stands out of the wall
SHADE_M = 0.3  # reach of the corner shadows
SHADE = 0.80  # brightness in a corner
GRID_M = 0.35  # floor grid that carries the shadows of furniture
CEILING_COLOUR = (0.97, 0.97, 0.95)
CAP_COLOUR = (0.30, 0.30, 0.33)  # tops of walls: only the map from above sees them
OUTSIDE_COLOUR = (0.78, 0.74, 0.68)
TILE_M = 1.0
# Habitat puts the agent on multiples of 0.2 m above a scene's lowest geometry, rounded up (habitat-sim 0.3.3): with the foundation's
# underside here the feet are 3 cm above the floor; a bare floor at 0 would lift them by 20 cm, and rugs by a step below -0.18.
FOUNDATION_M = -0.17


@dataclass(frozen=True)
class Style:
    """Looks of a room: texture names and tints (r, g, b in 0..1)."""

    floor: str
    wall: str
    floor_tint: Colour
    wall_tint: Colour


def side_span(room: Room, quarter: int) -> tuple[float, float]:
    """From where to where a wall of the room runs along its axis (centre lines, metres)."""
    x0, z0, x1, z1 = room.rect
    return (x0, x1) if quarter % 2 == 0 else (z0, z1)


def side_at(room: Room, quarter: int) -> float:
    """The wall's coordinate on the other axis; quarters as for furniture with its back to the wall: +z, +x, -z, -x."""
    x0, z0, x1, z1 = room.rect
    return (z1, x1, z0, x0)[quarter]


def _sign(quarter: int) -> float:
    return 1.0 if quarter < 2 else -1.0


def _point(quarter: int, along: float, y: float, at: float) -> tuple[float, float, float]:
    return (along, y, at) if quarter % 2 == 0 else (at, y, along)


def plan_borders(plan: Plan) -> list[Border]:
    """All stretches of wall between two rooms."""
    rooms = plan.rooms
    found = [border_of(a.room_id, b.room_id, a.rect, b.rect) for i, a in enumerate(rooms) for b in rooms[i + 1 :]]
    return [border for border in found if border is not None]


def outer_stretches(plan: Plan, room: Room, quarter: int) -> list[tuple[float, float]]:
    """Where a side of the room is an outer wall of the dwelling: intervals along its axis, metres."""
    axis, at = "x" if quarter % 2 == 0 else "z", side_at(room, quarter)
    low, high = side_span(room, quarter)
    shared = sorted((b.low, b.high) for b in plan_borders(plan) if room.room_id in b.rooms and b.axis == axis and abs(b.at - at) < 1e-6)
    stretches, start = [], low
    for a, b in [*shared, (high, high)]:
        if a - start > 1e-6:
            stretches.append((start, a))
        start = max(start, b)
    return stretches


def draw_windows(rng: np.random.Generator, plan: Plan) -> tuple[Window, ...]:
    """Windows in the outer walls, at most two per room and none in a stretch shorter than 1.5 m."""
    windows = []
    for room in plan.rooms:
        wet = room.kind in ("bathroom", "laundry room")
        choices = [(q, a, b) for q in range(4) for a, b in outer_stretches(plan, room, q) if b - a >= 1.5]
        for index in rng.permutation(len(choices))[: 1 if wet or area_of(room.rect) < 14.0 or rng.random() < 0.4 else 2]:
            quarter, low, high = choices[int(index)]
            width = round(0.8 if wet else min(rng.uniform(1.0, 1.8), high - low - 0.6), 2)
            margin = min(width / 2 + 0.35, (high - low) / 2)
            middle = round(float(rng.uniform(low + margin, high - margin)), 2)
            sill = 1.3 if wet else round(float(rng.uniform(0.85, 1.0)), 2)
            windows.append(Window(room.room_id, quarter, middle - width / 2, middle + width / 2, sill, 2.1 if wet else 2.2))
    return tuple(windows)


def doors_at(plan: Plan, room: Room, quarter: int) -> list[Door]:
    """The room's doorways in one of its walls, in order along the wall."""
    axis, at = "x" if quarter % 2 == 0 else "z", side_at(room, quarter)
    doors = [d for d in plan.doors if room.room_id in d.rooms and d.axis == axis and abs(d.centre[1 if axis == "x" else 0] - at) < 1e-6]
    return sorted(doors, key=lambda d: d.centre)


def _along(door: Door) -> float:
    return door.centre[0 if door.axis == "x" else 1]


def _shades(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Brightness that falls off towards both ends of an interval."""
    near = np.minimum(values - low, high - values)
    return SHADE + (1 - SHADE) * np.clip(near / SHADE_M, 0, 1)


def _inner_wall(builder: MeshBuilder, plan: Plan, room: Room, quarter: int, style: Style, thing: int) -> None:
    """A room's side of one wall, with its doorways cut out."""
    half = plan.wall_m / 2
    low, high = (v + s * half for v, s in zip(side_span(room, quarter), (1, -1), strict=True))
    at = side_at(room, quarter) - _sign(quarter) * half
    holes = [(_along(d) - d.width_m / 2, _along(d) + d.width_m / 2) for d in doors_at(plan, room, quarter)]
    cuts = sorted({low, low + SHADE_M, high - SHADE_M, high, *(v for hole in holes for v in hole)})
    heights = (0.0, SHADE_M, CEILING_M - SHADE_M, CEILING_M)
    normal = _point(quarter, 0.0, 0.0, -_sign(quarter))
    for a, b in zip(cuts[:-1], cuts[1:], strict=True):
        doorway = any(h0 - 1e-6 <= a and b <= h1 + 1e-6 for h0, h1 in holes)
        rows = (DOOR_HEIGHT_M, CEILING_M - SHADE_M, CEILING_M) if doorway else heights
        for y0, y1 in zip(rows[:-1], rows[1:], strict=True):
            s, y = np.array([a, b, b, a]), np.array([y0, y0, y1, y1])
            shade = _shades(s, low, high) * _shades(y, 0.0, CEILING_M)
            corners = np.array([_point(quarter, float(p), float(q), at) for p, q in zip(s, y, strict=True)])
            uv = np.stack([s / TILE_M, -y / TILE_M], axis=1)
            builder.quad(corners, normal, shade[:, None] * np.asarray(style.wall_tint), thing, style.wall, uv)


def _lines(low: float, high: float) -> np.ndarray:
    """Grid lines for baked shadows: the ends, the edge of the corner shadow, and about every GRID_M between."""
    return np.concatenate([[low], np.linspace(low + SHADE_M, high - SHADE_M, max(2, round((high - low) / GRID_M))), [high]])


def _floor(builder: MeshBuilder, rect: Rect, style: Style, solids: list[Rect], thing: int) -> None:
    """A room's floor, darker along the walls and around what stands on it."""
    xs, zs = _lines(rect[0], rect[2]), _lines(rect[1], rect[3])
    shade = _shades(xs, rect[0], rect[2])[None, :] * _shades(zs, rect[1], rect[3])[:, None]
    for x0, z0, x1, z1 in solids:
        away_x, away_z = np.maximum(np.maximum(x0 - xs, xs - x1), 0)[None, :], np.maximum(np.maximum(z0 - zs, zs - z1), 0)[:, None]
        shade *= SHADE + (1 - SHADE) * np.clip(np.hypot(away_x, away_z) / SHADE_M, 0, 1)
    builder.sheet(xs, zs, 0.0, np.maximum(shade, 0.5)[:, :, None] * np.asarray(style.floor_tint), thing, style.floor, TILE_M)


def _ceiling(builder: MeshBuilder, rect: Rect, thing: int) -> None:
    """A white ceiling with darker edges, seen from below."""
    xs, zs = ((rect[a], rect[a] + SHADE_M, rect[b] - SHADE_M, rect[b]) for a, b in ((0, 2), (1, 3)))
    for xa, xb in zip(xs[:-1], xs[1:], strict=True):
        for za, zb in zip(zs[:-1], zs[1:], strict=True):
            x, z = np.array([xa, xb, xb, xa]), np.array([za, za, zb, zb])
            shade = _shades(x, rect[0], rect[2]) * _shades(z, rect[1], rect[3])
            corners = np.stack([x, np.full(4, CEILING_M), z], axis=1)
            builder.quad(corners, (0.0, -1.0, 0.0), shade[:, None] * np.asarray(CEILING_COLOUR), thing, lit=(0.0, 0.0, 1.0))


def _foundation(builder: MeshBuilder, rect: Rect, thing: int) -> None:
    """The underside of the house below a room."""
    x0, z0, x1, z1 = rect
    corners = np.array([[x0, FOUNDATION_M, z0], [x1, FOUNDATION_M, z0], [x1, FOUNDATION_M, z1], [x0, FOUNDATION_M, z1]])
    builder.quad(corners, (0.0, -1.0, 0.0), np.array(OUTSIDE_COLOUR), thing)


def _threshold(builder: MeshBuilder, plan: Plan, door: Door, style: Style, thing: int) -> None:
    """The floor between the two walls of a doorway."""
    w, t = (door.width_m / 2, plan.wall_m / 2) if door.axis == "x" else (plan.wall_m / 2, door.width_m / 2)
    x, z = door.centre
    corners = np.array([[x - w, 0, z - t], [x + w, 0, z - t], [x + w, 0, z + t], [x - w, 0, z + t]])
    builder.quad(corners, (0.0, 1.0, 0.0), np.asarray(style.floor_tint) * 0.8, thing, style.floor, corners[:, [0, 2]] / TILE_M)


def _frame(builder: MeshBuilder, plan: Plan, door: Door, colour: Colour, thing: int) -> None:
    """The coloured frame round a doorway; the opening keeps its whole width."""
    depth, half, at = plan.wall_m / 2 + PROUD_M, door.width_m / 2, _along(door)
    across = door.centre[1 if door.axis == "x" else 0]
    top = DOOR_HEIGHT_M + FRAME_M
    parts = [
        (at - half - FRAME_M, at - half, 0.0, top),
        (at + half, at + half + FRAME_M, 0.0, top),
        (at - half, at + half, DOOR_HEIGHT_M, top),
    ]
    for s0, s1, y0, y1 in parts:
        low, high = (
            ((s0, y0, across - depth), (s1, y1, across + depth))
            if door.axis == "x"
            else ((across - depth, y0, s0), (across + depth, y1, s1))
        )
        builder.box(low, high, colour, thing, skip="y" if y0 == 0.0 else "")


def _window(builder: MeshBuilder, plan: Plan, window: Window, thing: int) -> None:
    """A white frame with a cross bar before a view of the garden; from both sides of the wall."""
    room = plan.rooms[window.room_id]
    wall, sign, half = side_at(room, window.quarter), _sign(window.quarter), plan.wall_m / 2
    q, bottom, top = window.quarter, window.sill_m, window.top_m
    view, edge = WINDOW_VIEWS[thing % len(WINDOW_VIEWS)], 0.01  # the picture repeats: its very edge would show the other one
    uv = np.array([[edge, 1 - edge], [1 - edge, 1 - edge], [1 - edge, edge], [edge, edge]])
    for side in (-1.0, 1.0):
        at = wall + side * sign * (half + 0.006)
        corners = [_point(q, s, y, at) for s, y in ((window.low, bottom), (window.high, bottom), (window.high, top), (window.low, top))]
        builder.quad(np.array(corners), _point(q, 0.0, 0.0, side * sign), np.ones(3), thing, view, uv, lit=(0.0, 1.0, 0.0))
    bar, inside, front = 0.05, wall - sign * half, wall - sign * (half + 0.03)
    middle = (window.low + window.high) / 2
    bars = [
        (window.low - bar, window.low, bottom, top),
        (window.high, window.high + bar, bottom, top),
        (middle - 0.02, middle + 0.02, bottom, top),
    ]
    bars += [(window.low - bar, window.high + bar, top, top + bar)]
    for s0, s1, y0, y1 in bars:
        builder.box(*_ordered(_point(q, s0, y0, inside), _point(q, s1, y1, front)), (0.95, 0.95, 0.93), thing)
    deep = wall - sign * (half + 0.09)
    builder.box(
        *_ordered(_point(q, window.low - 0.08, bottom - 0.04, inside), _point(q, window.high + 0.08, bottom, deep)),
        (0.93, 0.93, 0.9),
        thing,
    )


def _ordered(a: Colour, b: Colour) -> tuple[Colour, Colour]:
    return tuple(map(min, a, b)), tuple(map(max, a, b))


def _outer_walls(builder: MeshBuilder, plan: Plan, thing: int) -> None:
    """Outsides of the outer walls and the tops of all walls: they close the boxes."""
    half = plan.wall_m / 2
    lines: dict[tuple[int, float], list[tuple[float, float]]] = defaultdict(list)
    for room in plan.rooms:
        for quarter in range(4):
            sign, at = _sign(quarter), side_at(room, quarter)
            lines[quarter % 2, round(at, 4)].append(side_span(room, quarter))
            for a, b in outer_stretches(plan, room, quarter):
                spots = ((a - half, 0.0), (b + half, 0.0), (b + half, CEILING_M), (a - half, CEILING_M))
                corners = np.array([_point(quarter, s, y, at + sign * half) for s, y in spots])
                builder.quad(corners, _point(quarter, 0.0, 0.0, sign), np.asarray(OUTSIDE_COLOUR), thing)
    for (turn, at), spans in sorted(lines.items()):
        for a, b in _merged(spans):
            rim = ((a - half, -half), (b + half, -half), (b + half, half), (a - half, half))
            builder.quad(np.array([_point(turn, s, CEILING_M, at + o) for s, o in rim]), (0.0, 1.0, 0.0), np.asarray(CAP_COLOUR), thing)


def _merged(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for a, b in sorted(spans):
        if merged and a <= merged[-1][1] + 1e-6:
            merged[-1] = (merged[-1][0], max(merged[-1][1], b))
        else:
            merged.append((a, b))
    return merged


@dataclass(frozen=True)
class SurfaceIds:
    """Thing ids: one per room for floors and ceilings, one for all walls, one per doorway and window."""

    floors: tuple[int, ...]
    ceilings: tuple[int, ...]
    wall: int
    doors: tuple[int, ...]
    windows: tuple[int, ...]


def build_surfaces(
    builder: MeshBuilder, plan: Plan, windows: tuple[Window, ...], styles: tuple[Style, ...], door_colours: tuple[Colour, ...],
    ids: SurfaceIds, solids: list[Rect],
) -> None:  # fmt: skip
    """Add everything that is not furniture to the mesh; `solids` are the footprints that cast soft shadows on the floors."""
    for room, style in zip(plan.rooms, styles, strict=True):
        rect = grown(room.rect, -plan.wall_m / 2)
        _floor(builder, rect, style, [solid for solid in solids if overlap(solid, rect)], ids.floors[room.room_id])
        _ceiling(builder, rect, ids.ceilings[room.room_id])
        _foundation(builder, grown(room.rect, plan.wall_m / 2), ids.wall)
        for quarter in range(4):
            _inner_wall(builder, plan, room, quarter, style, ids.wall)
    for door, colour in zip(plan.doors, door_colours, strict=True):
        _threshold(builder, plan, door, styles[door.rooms[0]], ids.floors[door.rooms[0]])
        _frame(builder, plan, door, colour, ids.doors[door.door_id])
    for window, thing in zip(windows, ids.windows, strict=True):
        _window(builder, plan, window, thing)
    _outer_walls(builder, plan, ids.wall)

"""From triangles to walkable cells, by the rules of Recast with Habitat's settings, vectorised.

Triangles are rasterised into columns of 5 cm; heights are counted in levels of 0.2 m above the lowest vertex. A walkable surface is
the top of a solid run with head room above it; ledges and cells near an edge or obstacle are then taken away. Constants and rules:
habitat-sim 0.3.3's NavMeshSettings (settings.json of the recordings) and Recast's rasterisation, ledge filter and erosion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

CELL_M = 0.05
LEVEL_M = 0.2
CLIMB_LEVELS = 1  # floor(0.2 m climb / 0.2 m)
MAX_SLOPE_DEG = 45.0
MIN_ISLAND_CELLS = 400  # Recast's region_min_size 20, squared: pieces below 1 m2 vanish
MAX_VOXELS = 400_000_000
OPEN_SKY = 1 << 20  # the ceiling level of what has nothing above it
_NEIGHBOURS = ((-1, 0), (0, 1), (1, 0), (0, -1))


@dataclass(frozen=True)
class Surfaces:
    """Walkable cells after erosion: integer arrays [K] of column x, column z, level, level of what is above (ceiling), connected piece.

    `origin` is the scene's smallest corner (metres); a cell's height is origin y + level * 0.2 m.
    """

    origin: np.ndarray
    shape: tuple[int, int]
    x: np.ndarray
    z: np.ndarray
    level: np.ndarray
    ceiling: np.ndarray
    piece: np.ndarray


def _ranges(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For counts [N]: owner index and running number within the owner, both [sum(counts)]."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)


def _index_range(low: np.ndarray, high: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """First cell and number of cells that the interval (in cells) covers; touching the next cell's edge doesn't count."""
    first, last = np.floor(low).astype(np.int64), np.floor(high).astype(np.int64)
    last -= (last == high) & (last > first)
    first, last = np.maximum(first, 0), np.minimum(last, size - 1)
    return first, np.maximum(last - first + 1, 0)


def _clip_edges(ends: np.ndarray, low: np.ndarray, high: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Clip edges [N, E, 2, 3] to low <= coordinate <= high ([N], in cells): the clipped edges, and whether any of each is left [N, E]."""
    start, stop = ends[:, :, 0], ends[:, :, 1]
    delta = stop - start
    along = delta[..., axis]
    flat = along == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        t0 = (low[:, None] - start[..., axis]) / along
        t1 = (high[:, None] - start[..., axis]) / along
    enter, leave = np.where(flat, 0.0, np.clip(np.minimum(t0, t1), 0.0, 1.0)), np.where(flat, 1.0, np.clip(np.maximum(t0, t1), 0.0, 1.0))
    low_end, high_end = np.minimum(start[..., axis], stop[..., axis]), np.maximum(start[..., axis], stop[..., axis])
    inside = (low_end <= high[:, None]) & (high_end >= low[:, None])
    clipped = np.stack([start + enter[..., None] * delta, start + leave[..., None] * delta], axis=2)
    return clipped, inside


def _extent(values: np.ndarray, valid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimum and maximum of values [N, E, 2] over the valid edges [N, E]."""
    mask = np.repeat(valid[..., None], 2, axis=2).reshape(len(values), -1)
    flat = values.reshape(len(values), -1)
    return np.where(mask, flat, np.inf).min(axis=1), np.where(mask, flat, -np.inf).max(axis=1)


def _corner_heights(corners: np.ndarray, x: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest height of triangles [N, 3, 3] at the corners of cell (x, z) inside them; (inf, -inf) when none is."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, ac = b - a, c - a
    area = ab[:, 0] * ac[:, 2] - ab[:, 2] * ac[:, 0]
    low, high = np.full(len(x), np.inf), np.full(len(x), -np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        for dx, dz in ((0, 0), (0, 1), (1, 0), (1, 1)):
            px, pz = x + dx - a[:, 0], z + dz - a[:, 2]
            s, t = (px * ac[:, 2] - pz * ac[:, 0]) / area, (ab[:, 0] * pz - ab[:, 2] * px) / area
            height = a[:, 1] + s * ab[:, 1] + t * ac[:, 1]
            inside = (area != 0) & (s >= 0) & (t >= 0) & (s + t <= 1)
            low, high = np.where(inside, np.minimum(low, height), low), np.where(inside, np.maximum(high, height), high)
    return low, high


def _level_range(low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First level and level above the last (at least one more) of heights counted in levels."""
    bottom = np.floor(low.astype(np.float32)).astype(np.int64)
    return bottom, np.maximum(np.ceil(high.astype(np.float32)).astype(np.int64), bottom + 1)


def _spans(cells: np.ndarray, shape: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Columns that triangles [T, 3, 3] (x, z in cells, y in levels) touch: triangle index, x, z, bottom level, top level, each [S]."""
    ends = np.stack([cells, np.roll(cells, -1, axis=1)], axis=2)
    first, count = _index_range(cells[:, :, 2].min(axis=1), cells[:, :, 2].max(axis=1), shape[1])
    triangle, step = _ranges(count)
    z = first[triangle] + step
    edges, valid = _clip_edges(ends[triangle], z.astype(float), z + 1.0, axis=2)
    low, high = _extent(edges[..., 0], valid)
    hit = low <= high
    triangle, z, edges, valid, low, high = (array[hit] for array in (triangle, z, edges, valid, low, high))
    first, count = _index_range(low, high, shape[0])
    row, step = _ranges(count)
    x, z, triangle = first[row] + step, z[row], triangle[row]
    bottom, top = _level_range(cells[:, :, 1].min(axis=1), cells[:, :, 1].max(axis=1))
    bottom, top = bottom[triangle], top[triangle]
    tall = np.flatnonzero(top - bottom > 1)  # the others have the same levels in every cell
    if len(tall):
        clipped, left = _clip_edges(edges[row[tall]], x[tall].astype(float), x[tall] + 1.0, axis=0)
        low, high = _extent(clipped[..., 1], left & valid[row[tall]])
        low_c, high_c = _corner_heights(cells[triangle[tall]], x[tall], z[tall])
        low, high = np.minimum(low, low_c), np.maximum(high, high_c)
        low, high = np.where(low <= high, low, bottom[tall]), np.where(low <= high, high, top[tall])
        bottom[tall], top[tall] = _level_range(low, high)
    return triangle, x, z, bottom, top


def _solid(triangles: np.ndarray, origin: np.ndarray, shape: tuple[int, int], levels: int) -> tuple[np.ndarray, np.ndarray]:
    """Occupied voxels and tops of walkable triangles, both bool [X, Z, levels + 1]."""
    unit = np.array([CELL_M, LEVEL_M, CELL_M], dtype=np.float32)
    cells = ((triangles - origin) * (np.float32(1.0) / unit)).astype(np.float64)  # float32 first: Recast's rounding decides on edges
    normal = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]).astype(np.float64)
    flat = normal[:, 1] > math.cos(math.radians(MAX_SLOPE_DEG)) * np.linalg.norm(normal, axis=1)
    triangle, x, z, bottom, top = _spans(cells, shape)
    height = levels + 1
    column = (x * shape[1] + z) * height
    size = shape[0] * shape[1] * height
    bottom, top = np.clip(bottom, 0, levels - 1), np.clip(top, 1, levels)
    change = np.bincount(column + bottom, minlength=size) - np.bincount(column + top, minlength=size)
    occupied = change.reshape(-1, height).cumsum(axis=1) > 0
    walkable = np.zeros(size, dtype=bool)
    walkable[(column + top)[flat[triangle]]] = True
    return occupied.reshape(*shape, height), walkable.reshape(*shape, height)


def _ledges(below: np.ndarray, x: np.ndarray, z: np.ndarray, level: np.ndarray, ceiling: np.ndarray, head: int) -> np.ndarray:
    """Whether surfaces are ledges: a neighbouring column drops by more than the climb, or climbs on one side and drops on another.

    `below` int [X, Z, L]: number of occupied voxels below each level, with margins that hold no voxel.
    """
    drop = np.zeros(len(x), dtype=bool)
    up, down = drop.copy(), drop.copy()
    inner_x, inner_z = below.shape[0] - 2, below.shape[1] - 2
    for dx, dz in _NEIGHBOURS:
        nx, nz = x + dx, z + dz
        outside = (nx < 0) | (nz < 0) | (nx >= inner_x) | (nz >= inner_z)

        def count(low: int, high: int, nx: np.ndarray = nx, nz: np.ndarray = nz) -> np.ndarray:
            """Occupied voxels of the neighbouring column at level + low <= voxel < level + high."""
            column = below[nx + 1, nz + 1]
            rows = np.arange(len(nx))
            top = column.shape[1] - 1
            return column[rows, np.minimum(level + 2 + high, top)] - column[rows, np.minimum(level + 2 + low, top)]

        room = ceiling - level >= head
        drop |= outside | (room & (count(-2, head) == 0))
        down |= room & (count(-1, head) == 0) & (count(-2, -1) > 0)
        up |= (ceiling - level > head) & (count(1, head + 1) == 0) & (count(0, 1) > 0)
    return drop | (up & down)


def _neighbours(shape: tuple[int, int], levels: int, surface: tuple[np.ndarray, ...], head: int) -> np.ndarray:
    """Index [K, 4] of the surface reached by one step west, north, east, south (-1: none)."""
    x, z, level, ceiling = surface
    table = np.full((shape[0] + 2, shape[1] + 2, levels + 4), -1, dtype=np.int32)
    table[x + 1, z + 1, level + 1] = np.arange(len(x))
    result = np.full((len(x), 4), -1, dtype=np.int32)
    for direction, (dx, dz) in enumerate(_NEIGHBOURS):
        for step in range(-CLIMB_LEVELS, CLIMB_LEVELS + 1):
            other = table[x + dx + 1, z + dz + 1, level + step + 1]
            room = np.minimum(ceiling, ceiling[other]) - np.maximum(level, level + step) >= head
            result[:, direction] = np.where((other >= 0) & room, other, result[:, direction])
    return result


def _erode(neighbours: np.ndarray, radius_cells: int) -> np.ndarray:
    """Which surfaces stay [K] after Recast's erosion: chamfer distance (2 straight, 3 diagonal) to the nearest edge >= 2 radii."""
    edge = (neighbours < 0).any(axis=1)
    distance = np.where(edge, 0, 255).astype(np.int64)
    padded = np.append(distance, 255)
    diagonal = np.full((len(neighbours), 8), -1, dtype=np.int64)
    for direction in range(4):
        step = neighbours[:, direction]
        for side, turn in enumerate((1, 3)):
            onward = neighbours[step, (direction + turn) % 4]
            diagonal[:, 2 * direction + side] = np.where(step >= 0, onward, -1)
    for _ in range(2 * radius_cells):
        straight = padded[neighbours].min(axis=1) + 2
        slanted = padded[diagonal].min(axis=1) + 3
        padded[:-1] = np.minimum(padded[:-1], np.minimum(straight, slanted))
    return padded[:-1] >= 2 * radius_cells


def _pieces(neighbours: np.ndarray) -> np.ndarray:
    """Label [K] of the connected piece of each surface, from its neighbours [K, 4]."""
    count = len(neighbours)
    owner, _ = np.nonzero(neighbours >= 0)
    links = coo_matrix((np.ones(len(owner), dtype=np.int8), (owner, neighbours[neighbours >= 0])), shape=(count, count))
    return connected_components(links, directed=False)[1]


def _candidates(occupied: np.ndarray, walkable: np.ndarray, head: int) -> tuple[np.ndarray, ...]:
    """Walkable tops with head room that are no ledges: x, z, level, ceiling, each [K]."""
    # the top of a solid run is walkable when a flat triangle ends there, or one level lower (Recast's merge threshold)
    x, z, level = np.nonzero(occupied[..., :-1] & ~occupied[..., 1:] & (walkable[..., 1:] | walkable[..., :-1]))
    level = level + 1
    above = np.where(occupied, np.arange(occupied.shape[2], dtype=np.int32), OPEN_SKY)
    ceiling = np.minimum.accumulate(above[..., ::-1], axis=2)[..., ::-1][x, z, level]
    keep = ceiling - level >= head
    x, z, level, ceiling = x[keep], z[keep], level[keep], ceiling[keep]
    columns, height = occupied.shape[:2], occupied.shape[2]
    counts = np.zeros((columns[0] + 2, columns[1] + 2, height + head + 5), dtype=np.int16)
    counts[1:-1, 1:-1, 3 : 3 + height] = occupied.cumsum(axis=2)
    counts[1:-1, 1:-1, 3 + height :] = counts[1:-1, 1:-1, 2 + height, None]
    keep = ~_ledges(counts, x, z, level, ceiling, head + 1)  # + 1: Recast's ledge filter asks for more than the head room
    return x[keep], z[keep], level[keep], ceiling[keep]


def walkable_surfaces(triangles: np.ndarray, radius_m: float, height_m: float) -> Surfaces:
    """The cells that an agent of this size (metres) can stand on. `triangles` float32 [T, 3, 3], +Y up, upward faces counter-clockwise.

    Raises ValueError when the scene is too large for the grid (wrong units, most often).
    """
    origin, high = triangles.reshape(-1, 3).min(axis=0), triangles.reshape(-1, 3).max(axis=0)
    extent = (high - origin).astype(np.float64)
    shape = (max(1, int(extent[0] / CELL_M + 0.5)), max(1, int(extent[2] / CELL_M + 0.5)))
    levels = int(math.ceil(extent[1] / LEVEL_M)) + 2
    if shape[0] * shape[1] * levels > MAX_VOXELS:
        raise ValueError(f"scene extent {extent.round(1).tolist()} m: too large for a {CELL_M} m grid; are the units metres?")
    head, radius = math.ceil(height_m / LEVEL_M - 1e-6), math.ceil(radius_m / CELL_M - 1e-6)
    surface = _candidates(*_solid(triangles, origin, shape, levels), head)
    neighbours = _neighbours(shape, levels, surface, head)
    keep = _erode(neighbours, radius)
    x, z, level, ceiling = (array[keep] for array in surface)
    number = np.append(np.where(keep, np.cumsum(keep) - 1, -1), -1)  # old index to new; -1 stays none
    pieces = _pieces(number[neighbours[keep]])
    return Surfaces(origin.astype(np.float64), shape, x, z, level, ceiling, pieces)

"""VLN-CE's measures of one episode, and their means. Pure: what happened goes in, figures come out.

Sources: habitat-lab, tasks/nav/nav.py; jacobkrantz/VLN-CE, habitat_extensions/measures.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from fastdtw import fastdtw  # type: ignore[attr-defined]

STOP = 0
SUCCESS_M = 3.0  # VLN-CE: success is a stop nearer to the goal than this


def dtw(first: np.ndarray, second: np.ndarray) -> float:
    """Exact dynamic-time-warping cost in metres of point sequences [n, 3] and [m, 3], 3-D Euclidean, by anti-diagonals."""
    cost = np.linalg.norm(first[:, None] - second[None], axis=2)
    n, m = cost.shape
    before = np.full(n + 1, np.inf)  # diagonal d - 2, by row; row 0 lies outside
    last = np.full(n + 1, np.inf)  # diagonal d - 1
    before[0] = 0.0
    for diagonal in range(n + m - 1):
        rows = np.arange(max(0, diagonal - m + 1), min(n, diagonal + 1))
        current = np.full(n + 1, np.inf)
        reach = np.minimum(np.minimum(last[rows], last[rows + 1]), before[rows])
        current[rows + 1] = cost[rows, diagonal - rows] + reach
        before, last = last, current
    return float(last[n])


def fast_dtw(first: np.ndarray, second: np.ndarray) -> float:
    """VLN-CE's default: FastDTW with radius 1, an upper bound of `dtw`."""
    return float(fastdtw(first, second, radius=1, dist=lambda a, b: float(np.linalg.norm(a - b)))[0])


def locations_of(positions: np.ndarray) -> np.ndarray:
    """The start and every position that differs from the one before it: [m, 3] of [n + 1, 3]. What ground-truth files hold too."""
    moved = np.any(positions[1:] != positions[:-1], axis=1)
    return positions[np.concatenate([[True], moved])]


def _spl(success: float, shortest_m: float, length_m: float) -> float:
    """Success weighted by path length. NaN where Habitat has NaN (unreachable: inf / inf) or raises (start on the goal: 0 / 0)."""
    longest = max(shortest_m, length_m)
    if longest == 0 or math.isinf(shortest_m):
        return math.nan
    return success * shortest_m / longest


def _check_shapes(walked: np.ndarray, goal_m: np.ndarray, count: int, flags: int, truth: np.ndarray) -> None:
    """Raises ValueError unless positions, distances and `flags` collision flags fit `count` actions, and `truth` holds points."""
    if walked.shape != (count + 1, 3) or goal_m.shape != (count + 1,) or flags != count:
        raise ValueError(
            f"{count} actions need {count + 1} positions and distances (start first) and {count} collision flags; "
            f"got {walked.shape}, {goal_m.shape} and {flags}"
        )
    if truth.ndim != 2 or truth.shape[1] != 3 or not len(truth):
        raise ValueError(f"gt_locations have shape {truth.shape}: expected [m, 3] with at least the start")


def episode_metrics(
    positions: Sequence[Sequence[float]] | np.ndarray,
    actions: Sequence[int],
    distances: Sequence[float] | np.ndarray,
    collided: Sequence[int | bool],
    gt_locations: Sequence[Sequence[float]] | np.ndarray,
    success_distance: float = SUCCESS_M,
) -> dict[str, float]:
    """Measures of an episode: lengths in metres, rates as fractions; inf and NaN as VLN-CE gives them for unreachable goals.

    positions [n + 1, 3] and geodesic distances to the goal [n + 1], start first; actions [n] (0 stop, 1 forward, 2 left, 3 right);
    collided [n]; gt_locations [m, 3]. Raises ValueError when the lengths don't fit together.
    """
    walked, goal_m = np.asarray(positions, dtype=np.float64), np.asarray(distances, dtype=np.float64)
    truth = np.asarray(gt_locations, dtype=np.float64)
    count = len(actions)
    _check_shapes(walked, goal_m, count, len(collided), truth)
    stopped = count > 0 and actions[-1] == STOP
    success = float(stopped and goal_m[-1] < success_distance)
    length = math.fsum(np.linalg.norm(np.diff(walked, axis=0), axis=1))
    locations = locations_of(walked)
    scale = len(truth) * success_distance
    ndtw, ndtw_fast = math.exp(-dtw(locations, truth) / scale), math.exp(-fast_dtw(locations, truth) / scale)
    return {
        "distance_to_goal": float(goal_m[-1]),
        "success": success,
        "spl": _spl(success, float(goal_m[0]), length),
        "oracle_success": float(goal_m.min() < success_distance),
        "oracle_navigation_error": float(goal_m.min()),
        "path_length": length,
        "steps": float(count),
        "collisions": float(sum(bool(flag) for flag in collided)),
        "ndtw": ndtw,
        "sdtw": success * ndtw,
        "ndtw_fastdtw": ndtw_fast,
        "sdtw_fastdtw": success * ndtw_fast,
    }

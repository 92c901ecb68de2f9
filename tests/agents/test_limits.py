"""Velocity limits, the smoother, and what is in the way."""

from __future__ import annotations

import math

import numpy as np
import pytest

from agents.limits import Smoother, VelocityLimits
from agents.obstacles import Clearance, Corridor, DepthView, allowed_speed, from_depth, from_scan

NAN, INF = math.nan, math.inf
VIEW = DepthView(fx_px=40, fy_px=40, cx_px=32, cy_px=24, height_m=0.5)


def test_a_command_is_cut_to_the_limits_and_dropped_in_the_deadband() -> None:
    limits = VelocityLimits(deadband_velocity=(0.05, 0.1))
    assert limits.clamped(9, -9) == (0.5, -1.0) and limits.clamped(-1, 0.05) == (0.0, 0.0) and limits.clamped(0.04, 0.2) == (0.0, 0.2)


@pytest.mark.parametrize("pair", [(NAN, 0), (0, NAN), (INF, 0), (0, -INF)])
def test_a_velocity_that_is_not_finite_is_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="not finite"):
        VelocityLimits().clamped(*pair)
    with pytest.raises(ValueError, match="not finite"):
        Smoother(VelocityLimits()).step(*pair, 0.05)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_velocity": (-1, 1)}, "max_velocity"),
        ({"min_velocity": (0, 1)}, "min_velocity .* at most 0"),
        ({"max_velocity": (0.0, 1.0)}, "must allow 0.05 ahead"),
        ({"min_velocity": (0, 0)}, "must allow 0.1 to both sides"),
        ({"deadband_velocity": (0.6, 0)}, "deadband_velocity .* ever move"),
        ({"max_accel": (0.0, 1.0)}, "max_accel .* at least 0.1"),
        ({"max_decel": (-1.0, -0.05)}, "max_decel .* at most -0.1"),
        ({"max_decel": (NAN, -1)}, "max_decel"),
        ({"velocity_timeout": 5.0}, "from 0.05 to 2"),
        ({"smoothing_frequency": NAN}, "smoothing_frequency"),
        ({"velocity_timeout": 0.1, "smoothing_frequency": 10.0}, "less than two commands"),
    ],
)
def test_parameters_out_of_range_are_refused_by_name(change: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        VelocityLimits(**change)


def test_the_smoother_accelerates_and_brakes_within_the_limits_and_turns_round_through_zero() -> None:
    limits = VelocityLimits(max_velocity=(1, 1), min_velocity=(-1, -1), max_accel=(1, 2), max_decel=(-4, -2))
    smoother = Smoother(limits)
    ahead = [smoother.step(1, 0, 0.05)[0] for _ in range(25)]
    assert ahead[0] == pytest.approx(0.05) and ahead[-1] == 1 and max(np.diff(ahead)) <= 0.05 + 1e-9
    back = [smoother.step(-1, 0, 0.05)[0] for _ in range(30)]
    assert 0.0 in np.round(back, 9) and min(np.diff([1.0, *back])) >= -0.2 - 1e-9 and back[-1] == -1
    assert smoother.step(-1, 0, 60.0)[0] == -1  # a late step is no licence to leap
    smoother.reset()
    assert smoother.step(1, 0, 60.0)[0] == pytest.approx(0.1)


def depth(background_m: float, box: tuple[slice, slice] | None = None, box_m: float = 1.0) -> np.ndarray:
    image = np.full((48, 64), float(background_m))
    if box is not None:
        image[box] = box_m
    return image


@pytest.mark.parametrize(
    ("image", "distance_m"),
    [
        (depth(5), 5.0),  # a wall
        (depth(9), INF),  # beyond what the camera measures well
        (depth(5, (slice(20, 30), slice(28, 36)), 1.2), 1.2),  # a chair in the middle
        (depth(INF, (slice(20, 48), slice(0, 64)), 1.2), 1.2),
        (depth(5, (slice(20, 30), slice(0, 8)), 1.2), 5.0),  # beside the corridor
        (depth(5, (slice(45, 48), slice(28, 36)), 0.95), 5.0),  # the floor
        (depth(5, (slice(24, 25), slice(30, 33)), 1.0), 5.0),  # three pixels are noise
        (np.full((48, 64), NAN), None),
        (np.zeros((48, 64)), None),
        (np.zeros((0, 64)), None),
        (np.zeros((48, 64, 3)), None),
    ],
)
def test_depth_tells_how_far_the_corridor_is_free(image: np.ndarray, distance_m: float | None) -> None:
    found = from_depth(image, VIEW, 7.0, Corridor()).distance_m
    assert found == distance_m if distance_m is None else found == pytest.approx(distance_m)


def test_a_camera_that_looks_down_sees_the_floor_as_floor() -> None:
    down = DepthView(40, 40, 32, 24, height_m=0.5, pitch_down_rad=math.radians(20))
    rows = (np.arange(48) - 24) / 40
    below = math.cos(down.pitch_down_rad) * rows + math.sin(down.pitch_down_rad)
    floor = np.where(below > 0.05, 0.5 / np.maximum(below, 0.05), INF)[:, None].repeat(64, axis=1)
    assert from_depth(floor, down, 0.0, Corridor()).distance_m == INF
    assert from_depth(floor, VIEW, 0.0, Corridor()).distance_m != INF  # the tilt matters


def test_a_scan_tells_how_far_the_corridor_is_free() -> None:
    ranges = np.full(360, 8.0)
    assert from_scan(ranges, -math.pi, math.radians(1), 0.0, Corridor()).distance_m == pytest.approx(8.0, abs=0.01)
    ranges[182] = 1.5
    assert from_scan(ranges, -math.pi, math.radians(1), 0.0, Corridor(), front_m=0.3).distance_m == pytest.approx(1.2, abs=0.01)
    assert from_scan(np.full(360, INF), -math.pi, math.radians(1), 0.0, Corridor()).distance_m == INF
    for nothing in (np.full(360, NAN), np.zeros(360), np.zeros(0)):
        assert from_scan(nothing, -math.pi, math.radians(1), 0.0, Corridor()).distance_m is None


@pytest.mark.parametrize(
    ("distance_m", "age_s", "allowed"),
    [
        (INF, 0.1, 0.5),
        (0.1, 0.1, 0.0),
        (0.05, 0.0, 0.0),
        (0.3, 0.1, 0.15),
        (None, 0.1, None),
        (NAN, 0.1, None),
        (3.0, 0.6, None),
        (3.0, -1.0, None),
    ],
)
def test_the_speed_leaves_room_to_stop(distance_m: float | None, age_s: float, allowed: float | None) -> None:
    assert allowed_speed(Clearance(distance_m, 100 - age_s), 100.0, 0.5, 1.0, Corridor()) == allowed


def test_at_the_allowed_speed_the_stopping_distance_just_fits() -> None:
    corridor = Corridor(slowdown_m=0.0)
    for distance_m, timeout_s, counts_s in ((0.2, 0.3, 0.3), (0.4, 0.1, 0.3), (0.7, 1.0, 1.0)):
        v = allowed_speed(Clearance(distance_m, 99.8), 100.0, 9.0, 1.0, corridor, timeout_s)
        assert v is not None and v * (0.2 + counts_s) + v**2 / 2 + 0.1 == pytest.approx(distance_m)

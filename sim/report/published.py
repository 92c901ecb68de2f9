"""What others have published on VLN-CE val-unseen, and why a run of ours may not be compared with it.

All rows are self-reported; "quoted" ones were read in later authors' tables. Cameras, sliding and turn angles are those of the systems' published
configurations; "" is not stated. Source: each row's repository or paper, read in 2026-11; rows of later tables say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

R2R, RXR = "R2R-CE", "RxR-CE"
EPISODES = {R2R: 1839, RXR: 3669}  # val-unseen; RxR: the English guides
Numbers = tuple[float | None, float | None, float | None, float | None, float | None]  # NE m, OS, SR, SPL, nDTW in percent
RGB = "one RGB camera"


@dataclass(frozen=True)
class Published:
    """One system on one benchmark. camera: "width x height, horizontal view"; turn_deg 0: not stated."""

    system: str
    sensors: str
    camera: str
    sliding: str
    turn_deg: int
    benchmark: str
    numbers: Numbers
    source: str


@dataclass(frozen=True)
class _System:
    name: str
    sensors: str = RGB
    camera: str = ""
    sliding: str = ""
    turn_deg: int = 0
    source: str = "quoted"


_NAVID = ("640x480, 90°", "on", 30)
_SYSTEMS: tuple[tuple[_System, Numbers | None, Numbers | None], ...] = (
    (_System("VLN-CE CMA", "RGB and depth", "224x224, 90°", "on", 15, "repository"), (7.60, 36.0, 29.0, 27.0, None), None),
    (_System("NaVid, released", RGB, *_NAVID, "repository"), (5.65, 49.2, 41.9, 36.5, None), (5.72, 55.6, 45.7, 38.2, None)),
    (_System("Uni-NaVid, released", source="repository"), (4.96, 57.4, 51.8, 47.7, None), (5.67, 66.4, 56.1, 44.5, None)),
    (_System("NaVILA 8B, 8 frames", RGB, "512x512, 90°", "on", 15), (5.22, 62.5, 54.0, 49.0, None), (6.77, None, 49.3, 44.0, 58.8)),
    (_System("StreamVLN v1-3", RGB, "640x480, 79°", "", 15, "repository"), (4.90, 63.6, 56.4, 50.2, None), (5.65, None, 54.4, 45.4, 63.7)),
    (_System("NaVIDA 3B, a user's run", source="issue"), (4.717, 67.1, 57.7, 51.4, None), (5.428, None, 55.9, 48.5, 66.1)),
    (_System("InternVLA-N1 dual + NavDP", "RGB and depth", source="repository"), (4.22, 70.4, 64.1, 58.1, None), (4.70, None, 59.7, 50.6, 69.7)),
    (_System("DualVLN"), (4.05, 70.7, 64.3, 58.5, None), (4.58, None, 61.4, 51.8, 70.0)),
    (_System("NavFoM", "four cameras"), (4.61, 72.1, 61.7, 55.3, None), (4.74, None, 64.4, 56.2, 65.8)),
    (_System("CorrectNav"), (4.24, 67.5, 65.1, 62.3, None), (4.09, None, 69.3, 63.3, 75.2)),
    (_System("AwareVLN, 8 frames"), (None, None, 65.4, 55.1, None), None),
    (_System("Qwen-RobotNav 8B"), (4.36, 72.7, 65.7, 59.6, None), (4.16, None, 73.4, 63.5, 69.9)),
    (_System("Qwen-RobotNav 8B, panoramic", "panorama"), (3.53, 78.5, 72.1, 66.6, None), (3.58, None, 76.5, 65.7, 72.5)),
    (_System("Robostral Navigate 8B"), (None, None, 77.4, 74.2, None), None),
)  # fmt: skip


def rows(benchmark: str) -> list[Published]:
    """The published rows of a benchmark, by success rate."""
    found = [
        Published(system.name, system.sensors, system.camera, system.sliding, system.turn_deg, benchmark, numbers, system.source)
        for system, r2r, rxr in _SYSTEMS if (numbers := r2r if benchmark == R2R else rxr) is not None
    ]  # fmt: skip
    return sorted(found, key=lambda row: row.numbers[2] or 0.0)


def benchmark_of(config: dict[str, Any], scenes: Iterable[str]) -> str:
    """R2R or RXR when a run's scenes are Matterport's (scene ids "mp3d/..."), else "" for scenes of another kind."""
    if not all(scene.startswith("mp3d/") for scene in scenes):
        return ""
    return RXR if "rxr" in str(config.get("dataset", "")).lower() else R2R


def camera_text(config: dict[str, Any]) -> str:
    """A run's camera as `Published.camera` has it; "" when the run does not say."""
    camera = config.get("camera") or {}
    return f"{camera['width']}x{camera['height']}, {camera['hfov_deg']:g}°" if {"width", "height", "hfov_deg"} <= camera.keys() else ""


def sliding_text(config: dict[str, Any]) -> str:
    """ "on", "off", or "" when the run does not say."""
    return {True: "on", False: "off"}.get(config.get("sliding"), "")  # type: ignore[arg-type]


def differences(row: Published, config: dict[str, Any], benchmark: str, episodes: int) -> list[str]:
    """Why a run must not be compared with a published row; [] when nothing is known against it. benchmark: what `benchmark_of` found for the run."""
    reasons = []
    if benchmark != row.benchmark:
        reasons.append("other scenes and instructions")
    elif config.get("split") != "val_unseen":
        reasons.append(f"split {config.get('split')}")
    if config.get("instructions", "own") != "own" or config.get("frames", "camera") != "camera":
        reasons.append("an ablation")
    if episodes != EPISODES[row.benchmark]:
        reasons.append(f"{episodes:,} episodes, not {EPISODES[row.benchmark]:,}")
    settings = (
        (camera_text(config), row.camera, "camera"), (sliding_text(config), row.sliding, "sliding"),
        (str(config.get("turn_deg", "")), str(row.turn_deg or ""), "turn angle"),
    )  # fmt: skip
    unstated = [name for _, theirs, name in settings if not theirs]
    for ours, theirs, name in settings:
        if theirs and ours != theirs:
            reasons.append(f"other {name}" if ours else f"our {name} not recorded")
    reasons += [f"{', '.join(unstated)} not stated"] * bool(unstated)
    return reasons + ["more sensors"] * (row.sensors != RGB)

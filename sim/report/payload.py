"""What the page's script needs of every episode, small: centimetres, two letters per probability, one text per episode that is parsed when it is opened."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nvila_edge.navigation.actions import ACTIONS
from sim.decisions import Witness
from sim.report.confusion import KINDS
from sim.report.pictures import link, sources
from sim.report.rates import LENGTH_EDGES_M, span_index, span_labels
from sim.report.run import LABELS, OUTCOMES, Run, class_of, is_rejected, outcome_class
from sim.results import MAPS, REPORT, VIDEOS, Record, number, video_name

DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
LEVELS = len(DIGITS) ** 2 - 1  # a probability in two letters: to 0.02 %


def payload(runs: Sequence[Run], page_folder: Path) -> str:
    """The JSON for the page, safe inside a script element: no "<" in it, so nothing that an instruction says can end the element."""
    page = page_folder / REPORT
    first = runs[0].result_by_id
    scenes = sorted({result["scene_id"] for result in first.values()})
    sheets = sources([w.sheet for run in runs for w in run.witnesses.values() if w.sheet is not None], page)
    episodes = [
        {
            "id": key, "s": scenes.index(result["scene_id"]), "l": _number(result["shortest_path_length"]),
            "b": span_index(number(result["shortest_path_length"]), LENGTH_EDGES_M), "r": result.get("rooms_entered"),
            "g": _flat([result["goal"]]), "ref": _way(result["reference"]),
            "runs": [_episode(run, run.result_by_id.get(key), sheets, page) for run in runs],
        }
        for key, result in first.items()
    ]  # fmt: skip
    content = {
        "labels": LABELS, "kinds": KINDS, "lengths": span_labels(LENGTH_EDGES_M, " m"), "runs": [run.name for run in runs],
        "outcomes": {class_of(name): name for name in OUTCOMES}, "scenes": [scene_name(scene) for scene in scenes],
        "maps": _maps(runs, [scene_name(scene) for scene in scenes], page), "episodes": episodes,
    }  # fmt: skip
    return _json(content).replace("<", "\\u003c")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def scene_name(scene_id: str) -> str:
    """The house's name in a scene id such as "houses/train_0003/train_0003.glb"."""
    return Path(scene_id).stem


def _number(value: Any, digits: int = 2) -> float | None:
    plain = number(value)
    return round(plain, digits) if math.isfinite(plain) else None


def _flat(points: Sequence[Sequence[float]]) -> list[int]:
    """x and z of points [n, 3] in centimetres, one after the other."""
    return [round(100 * point[axis]) for point in points for axis in (0, 2)]


def _way(points: Sequence[Sequence[float]]) -> list[int]:
    """A way in centimetres: its first point, then steps."""
    places = np.array(_flat(points), np.int64).reshape(-1, 2)
    return np.concatenate([places[:1], np.diff(places, axis=0)]).ravel().tolist()


def _maps(runs: Sequence[Run], names: Sequence[str], page: Path) -> list[Record | None]:
    """The houses' pictures and where world points lie in them, from the first run that has them."""
    found: dict[str, tuple[Path, Record]] = {}
    for run in reversed(runs):
        for name in names:
            place = _map(run.folder / MAPS, name)
            if place is not None:
                found[name] = place
    sources_by_path = sources([path for path, _ in found.values()], page)
    return [{**found[name][1], "src": sources_by_path[found[name][0]]} if name in found else None for name in names]


def _map(folder: Path, name: str) -> tuple[Path, Record] | None:
    path = folder / f"{name}.jpg"
    try:
        transform = json.loads((folder / f"{name}.json").read_bytes())
        with Image.open(path) as picture:
            width, height = picture.size
        place = {"x": float(transform["x_min_m"]), "z": float(transform["z_min_m"]), "k": float(transform["pixels_per_m"])}
    except (OSError, ValueError, TypeError, KeyError):
        return None  # none, or damaged: the way is drawn without it
    return path, {**place, "w": width, "h": height}


def _episode(run: Run, result: Record | None, sheets: dict[Path, str], page: Path) -> Record | None:
    """One run's side of an episode; None when it has not played it."""
    if result is None:
        return None
    key = str(result["episode_id"])
    timing = run.timing_by_id.get(key, {})
    witness, video = run.witnesses.get(key), run.folder / VIDEOS / video_name(key)
    latencies = [number(value) for value in timing.get("latency_ms", ())]
    return {
        "o": outcome_class(result), "near": int(bool(result["oracle_success"])), "t": result["instruction"],
        "ne": _number(result["distance_to_goal"]), "spl": _number(result["spl"], 3), "dtw": _number(result["ndtw"], 3),
        "pl": _number(result["path_length"]), "n": result["steps"], "d": result["decisions"], "rej": result["rejections"],
        "hit": result["collisions"], "ms": round(statistics.median(latencies), 1) if latencies else None,
        "video": link(video, page) if video.exists() else None, "way": _way(_changes(result["positions"])),
        "sheet": sheets.get(witness.sheet) if witness is not None and witness.sheet is not None else None,
        "more": _json(_decisions(result, latencies, witness)),
    }  # fmt: skip


def _changes(positions: Sequence[Sequence[float]]) -> list[Sequence[float]]:
    """The start and every change of position."""
    return [point for index, point in enumerate(positions) if index == 0 or point != positions[index - 1]]


def _decisions(result: Record, latencies: Sequence[float], witness: Witness | None) -> Record:
    """Columns of the decisions: action (-1: none), probabilities, latency, point of the way; `said`: the answers that were no action, also where
    their agent did something instead; what the witness adds, where there is one."""
    trace, at, point = result["trace"], [], 0
    for index, position in enumerate(result["positions"]):
        point += index > 0 and position != result["positions"][index - 1]
        at.append(point)
    more: Record = {
        "a": [-1 if decision["action"] is None else decision["action"] for decision in trace],
        "p": [_letters(decision["candidates"]) for decision in trace],
        "ms": [_short(value) for value in latencies],
        "at": [at[min(decision["step"], len(at) - 1)] for decision in trace],
        "said": {index: str(decision.get("text", ""))[:200] for index, decision in enumerate(trace) if is_rejected(decision)},
    }
    if witness is not None:
        more |= {
            "x": [-1 if value is None else value for value in witness.expert], "yaw": [round(value) for value in witness.yaw_deg],
            "st": {stage: [_short(value) for value in values] for stage, values in witness.timing_ms.items() if any(values)},
            "tile": [*witness.tile_px, witness.columns], "shown": list(witness.shown),
        }  # fmt: skip
    return more


def _short(ms: float) -> float:
    """Milliseconds in few digits: tenths below ten."""
    return round(ms, 1) if ms < 9.95 else round(ms)


def _letters(candidates: Sequence[float]) -> str:
    """Ten probabilities as twenty letters; "" for a policy that has none."""
    if len(candidates) != len(ACTIONS):
        return ""
    levels = [round(LEVELS * min(1.0, max(0.0, number(value)))) for value in candidates]
    return "".join(DIGITS[level // len(DIGITS)] + DIGITS[level % len(DIGITS)] for level in levels)

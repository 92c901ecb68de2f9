"""The table of episodes: map picture, instruction, outcome, decisions, video."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from nvila_edge.navigation.actions import ACTIONS, Forward, Stop, Turn
from sim.maps import HouseMap
from sim.report.figures import LABELS, OUTCOMES, outcome, outcome_class
from sim.results import VIDEOS, Record, number, video_name


def scene_name(scene_id: str) -> str:
    """The house's name in a scene id such as "houses/train_0003/train_0003.glb"."""
    return Path(scene_id).stem


def symbols(maps: dict[str, HouseMap]) -> str:
    """The houses' pictures, each once, for the episodes' maps to use."""
    out = []
    for name, house_map in maps.items():
        height, width = house_map.rgb.shape[:2]
        data = base64.b64encode(house_map.jpeg()).decode()
        out.append(
            f'<symbol id="map-{escape(name)}" viewBox="0 0 {width} {height}">'
            f'<image width="{width}" height="{height}" href="data:image/jpeg;base64,{data}"/></symbol>'
        )
    return f'<svg width="0" height="0" class="hidden" aria-hidden="true">{"".join(out)}</svg>'


def map_svg(result: Record, maps: dict[str, HouseMap]) -> str:
    """One episode on its house: reference dashed, way taken, start and goal with its 3 m."""
    name = scene_name(result["scene_id"])
    house_map = maps.get(name)
    if house_map is None:
        return '<div class="map none">no map</div>'
    height, width = house_map.rgb.shape[:2]
    scale = house_map.transform.pixels_per_m

    def points(positions: Sequence[Sequence[float]]) -> str:
        pixels = np.round(house_map.transform.pixels(np.asarray(positions, np.float64)), 1)
        kept = [pixel for index, pixel in enumerate(pixels) if index == 0 or not np.array_equal(pixel, pixels[index - 1])]
        return " ".join(f"{x:g},{y:g}" for x, y in kept)

    start, end, goal = (points([point]).split(",") for point in (result["positions"][0], result["positions"][-1], result["goal"]))
    kind = outcome_class(result)
    return (
        f'<svg class="map" viewBox="0 0 {width} {height}"><use href="#map-{escape(name)}" width="{width}" height="{height}"/>'
        f'<circle class="area" cx="{goal[0]}" cy="{goal[1]}" r="{3 * scale:.0f}"/>'
        f'<polyline class="ref" points="{points(result["reference"])}"/>'
        f'<polyline class="halo" points="{points(result["positions"])}"/><polyline class="way" points="{points(result["positions"])}"/>'
        f'<circle class="start" cx="{start[0]}" cy="{start[1]}" r="9"/><circle class="goal" cx="{goal[0]}" cy="{goal[1]}" r="11"/>'
        f'<circle class="end {kind}" cx="{end[0]}" cy="{end[1]}" r="8"/></svg>'
    )


def decision_strip(result: Record) -> str:
    """One block per decision: colour by kind, strength by probability, the ten probabilities on hover."""
    blocks = []
    for index, decision in enumerate(result["trace"]):
        action = None if decision["action"] is None else ACTIONS[decision["action"]]
        kind, width = "k-none", 1
        match action:
            case Stop():
                kind = "k-stop"
            case Forward(distance_cm=distance):
                kind, width = "k-ahead", distance // 25
            case Turn(angle_deg=angle):
                kind, width = ("k-left" if angle > 0 else "k-right"), abs(angle) // 15
        best = sorted(enumerate(decision["candidates"]), key=lambda item: -item[1])[:4]
        name = "no valid answer" if decision["action"] is None else LABELS[decision["action"]]
        note = f"{index + 1}. {name}" + "".join(f"\n{LABELS[i]}: {p:.2f}" for i, p in best)
        opacity = 0.35 + 0.65 * min(1.0, number(decision["probability"]))
        blocks.append(f'<i class="{kind}" style="--w:{width};opacity:{opacity:.2f}" title="{escape(note)}"></i>')
    return f'<div class="strip">{"".join(blocks)}</div>'


def row(result: Record, maps: dict[str, HouseMap], folder: Path, other: Record | None) -> str:
    """One episode of the table; `other` is the same episode of a second run."""
    episode_id, kind = str(result["episode_id"]), outcome(result)
    css = outcome_class(result)
    video = f"{VIDEOS}/{video_name(episode_id)}"
    link = f'<a class="video" href="{escape(video)}">▶ video</a>' if (folder / video).exists() else ""
    facts = [
        f"{number(result['distance_to_goal']):.1f} m from the goal", f"shortest path {number(result['shortest_path_length']):.1f} m",
        f"walked {number(result['path_length']):.1f} m", f"{result['rooms_entered']} rooms", f"{result['steps']} steps",
        f"{result['decisions']} decisions", f"SPL {number(result['spl']):.2f}", f"nDTW {number(result['ndtw']):.2f}",
    ]  # fmt: skip
    facts += [f"{result['collisions']} collisions"] * bool(result["collisions"]) + [f"{result['rejections']} rejections"] * bool(
        result["rejections"]
    )
    second = f'<span class="badge b-{outcome_class(other)}">B: {escape(outcome(other))}</span>' if other else ""
    text = f"{episode_id} {result['scene_id']} {result['instruction']}".lower()
    keys = {"ne": "distance_to_goal", "length": "shortest_path_length", "spl": "spl"}
    data = "".join(f' data-{key}="{_sortable(number(result[field])):.4f}"' for key, field in keys.items())
    return (
        f'<article class="episode" data-outcome="{css}" data-text="{escape(text)}"{data}>'
        f'{map_svg(result, maps)}<div class="tell"><div class="head"><span class="badge b-{css}">{escape(kind)}</span>{second}'
        f'<span class="soft">episode {escape(episode_id)} · {escape(scene_name(result["scene_id"]))}</span>{link}</div>'
        f'<p class="instruction">{escape(result["instruction"])}</p>{decision_strip(result)}'
        f'<p class="soft facts">{" · ".join(facts)}</p></div></article>'
    )


def _sortable(value: float) -> float:
    """Scripts cannot compare "inf" and "nan": the first sorts above everything, the second below."""
    return value if math.isfinite(value) else 1e9 if value > 0 else -1.0


def table(results: Sequence[Record], maps: dict[str, HouseMap], folder: Path, others: dict[str, Record]) -> str:
    """All episodes with the filter above them."""
    options = "".join(f'<option value="{name.split()[0].lower().strip(":")}">{escape(name)}</option>' for name in OUTCOMES)
    controls = (
        '<div class="controls"><input id="search" type="search" placeholder="Search instruction, house, id …" aria-label="Search">'
        f'<select id="outcome" aria-label="Outcome"><option value="">All outcomes</option>{options}</select>'
        '<select id="order" aria-label="Order"><option value="">In order</option><option value="-ne">Farthest from the goal first</option>'
        '<option value="ne">Nearest to the goal first</option><option value="-length">Longest path first</option>'
        '<option value="-spl">Best SPL first</option></select><span id="count" class="soft"></span></div>'
    )
    rows = "".join(row(result, maps, folder, others.get(str(result["episode_id"]))) for result in results)
    return f'{controls}<div id="episodes">{rows}</div>'

"""What a dataset of houses is like, as one HTML file: easy episodes would make every later figure worthless."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sim.episodes import Dataset, Episode
from sim.geometry import Pose, wrap_angle
from sim.houses.library import HouseLibrary, scene_name
from sim.instructions.layout import Layout
from sim.instructions.route import resample, trace
from sim.instructions.wording import words_in

_TURN_RAD = math.radians(30)
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1d2433}
h1{font-size:1.5rem}h2{font-size:1.05rem;margin:0 0 .4rem}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:1.5rem}
figure{margin:0}svg{width:100%;height:auto}rect{fill:#3b6fb6}text{font-size:9px;fill:#5a6478}
p.small,li span{color:#5a6478}table{border-collapse:collapse}
td,th{text-align:left;padding:.15rem 1.2rem .15rem 0}"""


@dataclass(frozen=True)
class EpisodeFacts:
    """Of one episode: geodesic length in metres, doorways crossed, bends of 30 degrees or more, rooms of its house, words, and the
    kinds of the first and last room."""

    length_m: float
    doorways: int
    turns: int
    rooms: int
    words: int
    kinds: tuple[str, str]


def episode_facts(episode: Episode, library: HouseLibrary) -> EpisodeFacts:
    """Measured anew in the episode's house. Raises ValueError when the way doesn't lead through doors."""
    house, navmesh = library[scene_name(episode.scene_id)]
    path = navmesh.path(np.array(episode.start_position), np.array(episode.goal))
    visits = trace(Layout(house), path, episode.start) if len(path) > 1 else None
    if visits is None:
        raise ValueError(
            f"episode {episode.episode_id}: no way through the doors of {house.name}; made by another version? Generate it again"
        )
    length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
    words = len(words_in(episode.instruction))
    return EpisodeFacts(length, len(visits) - 1, _bends(path, episode.start), len(house.rooms), words, (visits[0].kind, visits[-1].kind))


def write_report(dataset: Dataset, path: Path | str, library: HouseLibrary | None = None) -> dict[str, float]:
    """Write the report to `path` and return its headline figures: medians, shares (0..1) and counts."""
    library = library or HouseLibrary(cache_size=2)
    facts = [episode_facts(episode, library) for episode in dataset.episodes]
    figures = _figures(dataset, facts)
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(_page(dataset, facts, figures), encoding="utf-8")
    return figures


def _figures(dataset: Dataset, facts: list[EpisodeFacts]) -> dict[str, float]:
    words = {word for episode in dataset.episodes for word in words_in(episode.instruction)}
    return {
        "episodes": len(facts),
        "houses": len({episode.scene_id for episode in dataset.episodes}),
        "length_m_median": round(float(np.median([f.length_m for f in facts])), 3),
        "doorways_median": float(np.median([f.doorways for f in facts])),
        "two_doorways_share": round(float(np.mean([f.doorways >= 2 for f in facts])), 4),
        "turns_median": float(np.median([f.turns for f in facts])),
        "words_median": float(np.median([f.words for f in facts])),
        "rooms_median": float(np.median([f.rooms for f in facts])),
        "vocabulary": len(words),
        "distinct_instructions": len({episode.instruction for episode in dataset.episodes}),
    }


def _bends(path: np.ndarray, start: Pose) -> int:
    """Changes of direction by 30 degrees or more over half a metre, the first one from the start's heading included."""
    _, yaws = resample(path[:, [0, 2]], 0.5)
    headings = [start.yaw_rad, *(float(yaw) for yaw in yaws[:-1])]
    return sum(abs(wrap_angle(after - before)) >= _TURN_RAD for before, after in zip(headings, headings[1:]))


def _page(dataset: Dataset, facts: list[EpisodeFacts], figures: dict[str, float]) -> str:
    charts = [
        ("Geodesic length (m)", _histogram([f.length_m for f in facts], [float(v) for v in range(5, 17)])),
        ("Doorways crossed", _bars([f.doorways for f in facts])),
        ("Turns of 30° or more", _bars([f.turns for f in facts])),
        ("Words per instruction", _histogram([f.words for f in facts], [float(v) for v in range(10, 65, 5)])),
        ("Rooms of the house", _bars([f.rooms for f in facts])),
        ("Primitive actions of the expert", _actions(dataset)),
        ("Rooms that episodes start in", _names([f.kinds[0] for f in facts])),
        ("Rooms that episodes end in", _names([f.kinds[1] for f in facts])),
    ]
    rows = "".join(f"<tr><td>{name.replace('_', ' ')}</td><td>{value:g}</td></tr>" for name, value in figures.items())
    grid = "".join(f"<figure><h2>{title}</h2>{chart}</figure>" for title, chart in charts)
    samples = "".join(
        f"<li>{html.escape(e.instruction)} <span>({scene_name(e.scene_id)}, {f.length_m:.1f} m, {f.doorways} doorways)</span></li>"
        for e, f in list(zip(dataset.episodes, facts, strict=True))[:: max(1, len(facts) // 20)]
    )
    title = f"Episodes of {html.escape(dataset.split)}"
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><table>{rows}</table><h1>Histograms</h1>"
        f'<div class="grid">{grid}</div><h1>Instructions</h1><ol>{samples}</ol></html>\n'
    )


def _actions(dataset: Dataset) -> str:
    names = ("stop", "forward", "left", "right")
    taken = [names[action] for truth in dataset.ground_truth.values() for action in truth.actions]
    return _names(taken) if taken else '<p class="small">no ground truth</p>'


def _histogram(values: Sequence[float], edges: list[float]) -> str:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return _chart([f"{low:g}" for low in edges[:-1]], [int(count) for count in counts])


def _bars(values: Sequence[int]) -> str:
    numbers = range(min(values, default=0), max(values, default=0) + 1)
    return _chart([str(number) for number in numbers], [list(values).count(number) for number in numbers])


def _names(values: Sequence[str]) -> str:
    names = sorted(set(values), key=lambda name: (-list(values).count(name), name))
    longest = max((list(values).count(name) for name in names), default=1)
    lines = [
        f'<text x="78" y="{14 * i + 11}" text-anchor="end">{html.escape(name)}</text>'
        f'<rect x="82" y="{14 * i + 3}" width="{150 * list(values).count(name) / longest:.1f}" height="10"/>'
        f'<text x="{86 + 150 * list(values).count(name) / longest:.1f}" y="{14 * i + 11}">{list(values).count(name)}</text>'
        for i, name in enumerate(names)
    ]
    return f'<svg viewBox="0 0 270 {14 * len(names) + 6}" role="img">{"".join(lines)}</svg>'


def _chart(labels: list[str], counts: list[int]) -> str:
    """Upright bars with the count above and the label below each."""
    width, top = 260 / max(1, len(labels)), max([*counts, 1])
    parts = []
    for i, (label, count) in enumerate(zip(labels, counts, strict=True)):
        height, middle = 100 * count / top, 5 + width * (i + 0.5)
        parts.append(
            f'<rect x="{5 + width * i + 1:.1f}" y="{115 - height:.1f}" width="{width - 2:.1f}" height="{height:.1f}"/>'
            f'<text x="{middle:.1f}" y="{112 - height:.1f}" text-anchor="middle">{count}</text>'
            f'<text x="{middle:.1f}" y="126" text-anchor="middle">{html.escape(label)}</text>'
        )
    return f'<svg viewBox="0 0 270 130" role="img">{"".join(parts)}</svg>'

"""Writes SceneTalk in LLaVA's layout: a line per conversation, pictures as JPEG, videos as folders of frames. By house, balanced, resumable."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import numpy as np

from nvila_edge.serving.jpeg import encode_jpeg
from sim.dataset import house_episodes
from sim.houses.house import House
from sim.houses.library import HouseLibrary, house_names
from sim.houses.repaint import repainted
from sim.navmesh import NavMesh
from sim.renderer import Renderer
from sim.scenetalk import captions, walks
from sim.scenetalk.questions import TALKERS
from sim.scenetalk.samples import Talk
from sim.scenetalk.signs import sign_view, with_signs
from sim.scenetalk.views import interesting_view

STAGES = (1, 2, 3, 4, 5)  # the paper's (arXiv 2412.04468, Table 7): alignment, vision encoder, token processor, images, video
ANNOTATIONS = "annotations.jsonl"
_PAINTED_EVERY = 20  # views: painting a house anew takes as long as several of them
_WALKS = 6  # of a house; many things are said of each
_CHOICES = 4  # candidates of a kind, of which the one whose answer was given least is taken
_FRUITLESS = 200  # candidates in a row that came to nothing, after which a house has no more to say

Maker = Callable[[np.random.Generator], Talk | None]


def write_scenetalk(
    out: Path, stage: int, split: str, houses: int, samples: int, seed: int, progress: Callable[[str, int, int], None]
) -> dict[str, int]:
    """Write `samples` conversations of a stage about the first houses of a split to `out/stageN/`; returns how many there are of each kind.

    Same arguments, same bytes; finished houses are not made again. progress(what, done, total) is told every house. Raises ValueError for a
    stage or split that there is not, and when there are fewer samples than houses.
    """
    if stage not in STAGES:
        raise ValueError(f"stage {stage}: one of {', '.join(map(str, STAGES))}")
    if not 1 <= houses <= samples:
        raise ValueError(f"{samples} samples of {houses} houses: ask for at least one house, and at least one sample of each")
    folder, library = out / f"stage{stage}", HouseLibrary(1)
    names = house_names(split, houses)
    parts = folder / "parts" / f"{split}-{seed}-{houses}-{samples}"
    parts.mkdir(parents=True, exist_ok=True)
    with closing(Renderer()) as renderer:
        for number, name in enumerate(names):
            share = samples * (number + 1) // houses - samples * number // houses
            if not (parts / f"{name}.jsonl").exists():
                _write_house(folder, parts, name, talks(stage, library, name, renderer, seed), share)
            progress("houses", number + 1, houses)
    lines = [line for name in names for line in (parts / f"{name}.jsonl").read_text().splitlines()]
    part = folder / f"{ANNOTATIONS}.part"
    part.write_text("".join(line + "\n" for line in lines))
    part.rename(folder / ANNOTATIONS)
    return dict(sorted(Counter(json.loads(line)["kind"] for line in lines).items()))


def talks(stage: int, library: HouseLibrary, name: str, renderer: Renderer, seed: int) -> Iterator[Talk]:
    """Balanced conversations about one house: the kinds in turn, of each the candidate whose key was given least; ends when none can be found."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, stage, *name.encode()]))
    house, navmesh = library[name]
    makers, given = _makers(stage, house, navmesh, renderer, rng), Counter()
    fruitless = 0
    while fruitless < _FRUITLESS:
        for maker in makers:
            found = [talk for talk in (maker(rng) for _ in range(_CHOICES)) if talk is not None]
            fruitless = 0 if found else fruitless + _CHOICES
            if found:
                best = min(found, key=lambda talk: given[talk.kind, talk.key])
                given[best.kind, best.key] += 1
                yield best


def _of_signs(house: House, navmesh: NavMesh, renderer: Renderer, rng: np.random.Generator) -> list[Maker]:
    """What describes, and reads, in the house with signs on its walls."""
    signed, texts = with_signs(house, rng)
    renderer.load(signed)

    def read(rng: np.random.Generator) -> Talk | None:
        view = sign_view(signed, navmesh, renderer, texts, rng)
        return None if view is None else captions.sign_reading(view, texts, rng)

    def describe(rng: np.random.Generator) -> Talk | None:
        return captions.detailed_caption(interesting_view(signed, navmesh, renderer, rng), rng)

    return [describe, read]


def _makers(stage: int, house: House, navmesh: NavMesh, renderer: Renderer, rng: np.random.Generator) -> list[Maker]:
    """What makes candidates of each kind of a stage."""

    repaint = count(0)

    def viewed(talker: Callable[..., Talk | None]) -> Maker:
        def make(rng: np.random.Generator) -> Talk | None:
            if next(repaint) % _PAINTED_EVERY == 0:
                renderer.load(repainted(house, rng))
            return talker(interesting_view(house, navmesh, renderer, rng), rng)

        return make

    if stage == 1:
        return [viewed(captions.short_caption)]
    if stage == 2:
        return _of_signs(house, navmesh, renderer, rng)
    renderer.load(house)
    strolls = [
        walks.walked(house, navmesh, renderer, episode) for episode in house_episodes(house, navmesh, _WALKS, int(rng.integers(2**31)))
    ]

    def told(talker: Callable[..., Talk | None], *, draws: bool = True) -> Maker:
        def make(rng: np.random.Generator) -> Talk | None:
            stroll = strolls[rng.integers(len(strolls))]
            return talker(stroll, rng) if draws else talker(stroll)

        return make

    if stage == 3:
        return [told(walks.tour, draws=False)]
    if stage == 4:
        return [*map(viewed, TALKERS), told(walks.action_now)]
    return [told(walks.action_with_history), told(walks.summary), told(walks.moment)]


def _write_house(folder: Path, parts: Path, name: str, said: Iterator[Talk], wanted: int) -> None:
    """Pictures first, then the lines in one step, so that a line's pictures are always there."""
    pictures, lines = folder / "images" / name, []
    shutil.rmtree(pictures, ignore_errors=True)
    for number, talk in zip(range(wanted), said):
        lines.append(json.dumps(_record(talk, f"{name}-{number:05d}", pictures, folder), ensure_ascii=False))
    part = parts / f"{name}.part"
    part.write_text("".join(line + "\n" for line in lines))
    part.rename(parts / f"{name}.jsonl")


def _record(talk: Talk, identifier: str, pictures: Path, folder: Path) -> dict[str, object]:
    """A LLaVA-style sample; its pictures are written."""
    files = []
    for index, rgb in enumerate(talk.pictures):
        file = pictures / identifier / f"{index:04d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode_jpeg(rgb))
        files.append(str(file.relative_to(folder)))
    media: dict[str, object] = (
        {"video": str((pictures / identifier).relative_to(folder)), "fps": talk.fps} if talk.is_video else {"image": files}
    )
    turns = [{"from": speaker, "value": text} for turn in talk.turns for speaker, text in zip(("human", "gpt"), turn)]
    return {"id": identifier, "kind": talk.kind, **media, "conversations": turns}

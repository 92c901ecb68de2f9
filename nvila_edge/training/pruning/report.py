"""The page about a pruned set: counts, histograms of scores, and helpful, easy and distracting samples with their pictures. One file."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image

from nvila_edge.model.tokens import IMAGE_MARK, VIDEO_MARK
from nvila_edge.model.video import read_video
from nvila_edge.training.pruning.run import Judged, Pruned
from nvila_edge.training.samples import Sample, SampleError, opened_picture

_EXAMPLES = 6  # of a kind, in a subset
_CLUSTERS = 12  # that are shown, the largest first
_FRAMES = 4  # of a sample that are shown
_SIDE_PX, _QUALITY = 160, 80
_TEXT = 300  # letters of a question or an answer that are shown
_BINS = 30
_STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:66rem;margin:2rem auto;padding:0 1rem;color:#1d2433}
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem}table{border-collapse:collapse}td,th{text-align:left;padding:.15rem 1.2rem .15rem 0}
.grid{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:1rem}article{border:1px solid #d5dbe6;border-radius:6px;padding:.7rem}
article img{max-width:48%;margin:0 2% .3rem 0;border-radius:4px}article p{margin:.2rem 0;overflow-wrap:anywhere}.small{color:#5a6478;font-size:.85rem}
svg{width:100%;max-width:44rem;height:auto}.kept{fill:#16a34a}.left{fill:#c2cad8}text{font-size:10px;fill:#5a6478}"""


def page(pruned: Pruned) -> str:
    """The whole HTML text; nothing is fetched when it is opened."""
    options = pruned.options
    how = f"log p(large) - log p(small) of the answers, {options.reduce} over tokens" if options.method == "delta" else options.method
    title = f"{html.escape(options.data.name)} pruned to {options.keep:.0%} ({html.escape(how)})"
    rows = "".join(_row(name, subset) for name, subset in pruned.subsets.items())
    faults = f"<pre>{html.escape(pruned.faults.text())}</pre>" if pruned.faults.total else "<p>Every sample could be used."
    sections = "".join(f"<h2>{html.escape(name)}</h2>{_section(subset)}" for name, subset in pruned.subsets.items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1><table><tr><th>subset<th>samples<th>kept<th>lowest kept score<th>median score</tr>{rows}</table>"
        f"{faults}{sections}</html>\n"
    )


def examples(subset: Sequence[Judged]) -> dict[str, list[Judged]]:
    """Samples of each kind that scores tell apart: the highest scores, those whose answers even the less sure model finds likely, the lowest scores.

    No sample is two of them; a helpful one has a score above 0, a distracting one below.
    """
    scored = sorted((one for one in subset if one.score is not None), key=lambda one: one.score or 0.0)
    distracting = [one for one in scored[:_EXAMPLES] if (one.score or 0.0) < 0]
    helpful = [one for one in scored[::-1][:_EXAMPLES] if (one.score or 0.0) > 0]
    taken = {one.candidate.key for one in distracting + helpful}
    rest = [one for one in scored if one.candidate.key not in taken]
    easy = sorted(rest, key=lambda one: -min(one.large.per_token, one.small.per_token) if one.large and one.small else math.inf)
    return {"helpful": helpful, "easy": easy[:_EXAMPLES], "distracting": distracting}


def histogram(scores: Sequence[float], kept: Sequence[bool]) -> str:
    """An SVG of stacked bars: what is kept over what is not. The outermost percent on either side is in the outermost bars."""
    low, high = np.percentile(scores, [1, 99])
    edges = np.linspace(low, high if high > low else low + 1e-6, _BINS + 1)
    places = np.clip(np.digitize(scores, edges) - 1, 0, _BINS - 1)
    stay = np.bincount(places[np.array(kept, bool)], minlength=_BINS)
    every = np.bincount(places, minlength=_BINS)
    width, unit, bars = 600 / _BINS, 130 / max(1, every.max()), []
    for index in range(_BINS):
        for name, count, base in (("kept", stay[index], 0), ("left", every[index] - stay[index], stay[index])):
            if count:
                y = 145 - (base + count) * unit
                bars.append(
                    f'<rect class="{name}" x="{10 + width * index:.1f}" y="{y:.1f}" width="{width - 1:.1f}" height="{count * unit:.1f}"/>'
                )
    axis = f'<text x="10" y="160">{edges[0]:.3g}</text><text x="610" y="160" text-anchor="end">{edges[-1]:.3g}</text>'
    if edges[0] < 0 < edges[-1]:
        x = 10 + 600 * -edges[0] / (edges[-1] - edges[0])
        axis += (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="10" y2="148" stroke="#1d2433"/><text x="{x:.1f}" y="160" text-anchor="middle">0</text>'
        )
    return f'<svg viewBox="0 0 620 165" role="img" aria-label="scores; green is kept, grey is not">{"".join(bars)}{axis}</svg>'


def _row(name: str, subset: Sequence[Judged]) -> str:
    scores = [one.score for one in subset if one.score is not None]
    kept = [one for one in subset if one.kept]
    lowest = min((one.score for one in kept if one.score is not None), default=None)
    cells = (
        html.escape(name),
        len(subset),
        len(kept),
        "-" if lowest is None else f"{lowest:.4g}",
        f"{np.median(scores):.4g}" if scores else "-",
    )
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells) + "</tr>"


def _section(subset: Sequence[Judged]) -> str:
    scores = [one.score for one in subset if one.score is not None]
    if scores:
        kinds = "".join(f"<h3>{kind}</h3>{_grid(found)}" for kind, found in examples(subset).items())
        return histogram(scores, [one.kept for one in subset]) + '<p class="small">green: kept; grey: left out</p>' + kinds
    if subset[0].cluster is None:
        return _grid([one for one in subset if one.kept][:_EXAMPLES])
    sizes = {label: sum(one.cluster == label for one in subset) for label in {one.cluster for one in subset}}
    parts = []
    for label, size in sorted(sizes.items(), key=lambda item: -item[1])[:_CLUSTERS]:
        own = [one for one in subset if one.cluster == label]
        what = "no picture" if label == -1 else f"cluster {label}"
        parts.append(f"<h3>{what}: {size} samples, {sum(one.kept for one in own)} kept</h3>{_grid(own[:3])}")
    return f"<p>{len(sizes)} clusters, the largest:" + "".join(parts)


def _grid(found: Sequence[Judged]) -> str:
    return f'<div class="grid">{"".join(map(_article, found))}</div>' if found else '<p class="small">none'


def _article(one: Judged) -> str:
    sample, facts = one.candidate.sample, ["kept" if one.kept else "left out"]
    if one.score is not None and one.large and one.small:
        chances = (math.exp(model.per_token) for model in (one.large, one.small))
        facts = [f"<b>{one.score:.4f}</b>", *facts, "per token: large {:.3f}, small {:.3f}".format(*chances)]
    texts = [f"<p><b>Q</b> {_shown(turn.question)}<p><b>A</b> {_shown(turn.answer)}" for turn in sample.exchanges[:2]]
    more = f'<p class="small">and {len(sample.exchanges) - 2} exchanges more' if len(sample.exchanges) > 2 else ""
    head = f'<p>{"; ".join(facts)} <span class="small">{html.escape(one.candidate.key)}</span>'
    return f"<article>{_pictures(sample)}{head}{''.join(texts)}{more}</article>"


def _shown(text: str) -> str:
    bare = text.replace(IMAGE_MARK, "").replace(VIDEO_MARK, "").strip()
    return html.escape(bare if len(bare) <= _TEXT else bare[:_TEXT] + " ..")


def _pictures(sample: Sample) -> str:
    try:
        video = sample.video if isinstance(sample.video, tuple) else read_video(sample.video, _FRAMES, 0.0) if sample.video else []
        frames = [one if isinstance(one, Image.Image) else opened_picture(one) for one in (*sample.images[:_FRAMES], *video[:_FRAMES])]
    except (SampleError, ValueError, OSError) as error:
        return f'<p class="small">no picture: {html.escape(str(error))}'
    return "".join(map(_embedded, frames[:_FRAMES]))


def _embedded(image: Image.Image) -> str:
    small = image.convert("RGB")
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'

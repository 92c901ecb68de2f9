"""Captions of views, short (stage 1) and detailed (stage 2), and what signs say (stage 2)."""

from __future__ import annotations

import numpy as np

from sim.scenetalk.samples import IMAGE, Talk
from sim.scenetalk.views import InView, View

_SHORT = ("Describe the picture briefly.", "Give a short caption.", "What is in this picture?", "Caption this picture.")
_DETAILED = (
    "Describe the picture in detail.",
    "What do you see? Be thorough.",
    "Give a detailed description.",
    "Describe everything in view.",
)
_READ = ("What does the sign say?", "Read the sign.", "What is written on the wall?")
_NEAR_M, _FAR_M = 1.5, 4.0
_READABLE_SHARE = 0.03  # of the pixels: a word is then about 40 pixels wide


def short_caption(view: View, rng: np.random.Generator) -> Talk | None:
    """Room and the two largest things; None for a view of nothing."""
    names = [_article(thing.name) for thing in view.things[:2]]
    if not names:
        return None
    form = ("{} in {}.", "A view of {1} with {0}.", "{1}, with {0}.")[rng.integers(3)]
    answer = form.format(" and ".join(names), _article(view.room))
    return Talk("caption", ((f"{IMAGE}\n{rng.choice(_SHORT)}", _capital(answer)),), (view.rgb,), view.room)


def detailed_caption(view: View, rng: np.random.Generator) -> Talk | None:
    """Every thing in view with its side and distance, nearest first; None with fewer than two things."""
    if len(view.things) < 2:
        return None
    sentences = [f"This is {_article(view.room)}"]
    for thing in sorted(view.things, key=lambda thing: thing.depth_m)[:8]:
        sentences.append(_capital(f"{_article(thing.name)} is {_where(thing)}, {_distance(thing)}"))
    return Talk("detailed caption", ((f"{IMAGE}\n{rng.choice(_DETAILED)}", ". ".join(sentences) + "."),), (view.rgb,), view.room)


def sign_reading(view: View, texts: dict[int, str], rng: np.random.Generator) -> Talk | None:
    """What the one sign in view says; None when there is none, or two, or it is small or cut off."""
    signs = [thing for thing in view.things if thing.thing_id in texts]
    if len(signs) != 1 or signs[0].share < _READABLE_SHARE or not signs[0].whole:
        return None
    text = texts[signs[0].thing_id]
    return Talk("sign", ((f"{IMAGE}\n{rng.choice(_READ)}", text),), (view.rgb,), text)


def _where(thing: InView) -> str:
    return {"left": "on the left", "middle": "in the middle", "right": "on the right"}[thing.side]


def _distance(thing: InView) -> str:
    return "close by" if thing.depth_m < _NEAR_M else "far away" if thing.depth_m > _FAR_M else f"about {round(thing.depth_m)} metres away"


def _article(name: str) -> str:
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]

"""The nouns of instructions: how rooms, things and colours are called. Both wordings share them, and the oracle reads them.

Every category of furniture, every room kind and every colour has a name; a few have synonyms that people use as often.
"""

from __future__ import annotations

from sim.houses.categories import COLOURS, FURNITURE, ROOM_KINDS

_SYNONYMS = {
    "sofa": ("sofa", "couch"),
    "television": ("television", "TV"),
    "fridge": ("fridge", "refrigerator"),
    "washbasin": ("washbasin", "sink"),
    "nightstand": ("nightstand", "bedside table"),
    "crib": ("crib", "baby bed"),
    "office": ("office", "study"),
    "hallway": ("hallway", "corridor"),
    "living room": ("living room", "lounge"),
}
THING_NAMES: dict[str, tuple[str, ...]] = {name: _SYNONYMS.get(name, (name,)) for name in FURNITURE}
ROOM_NAMES: dict[str, tuple[str, ...]] = {name: _SYNONYMS.get(name, (name,)) for name in ROOM_KINDS}
COLOUR_NAMES: tuple[str, ...] = COLOURS

# A reader may take the one for the other, so neither identifies anything while the other is about.
CONFUSABLE: tuple[frozenset[str], ...] = (
    frozenset({"chair", "armchair", "office chair"}),
    frozenset({"dining table", "coffee table", "desk"}),
    frozenset({"wardrobe", "bookshelf"}),
    frozenset({"dresser", "nightstand", "toy chest"}),
    frozenset({"bed", "crib"}),
    frozenset({"kitchen counter", "kitchen island"}),
    frozenset({"plant", "vase"}),
    frozenset({"bicycle", "exercise bike"}),
    frozenset({"painting", "mirror"}),
)
# Walked over, too small, or too many to be told apart: never named.
UNNAMED = frozenset({"rug", "chair", "globe"})
# Things with a face that one can stand in front of.
FRONTED = frozenset(
    {
        "sofa", "armchair", "wardrobe", "dresser", "desk", "bookshelf", "television", "fridge", "stove", "washing machine", "toilet",
        "washbasin", "painting", "mirror", "clock", "piano", "fireplace", "bench", "aquarium", "shower", "kitchen counter", "coat rack",
    }
)  # fmt: skip

NEAR_PHRASES = ("next to", "by", "beside", "near", "close to")
FRONT_PHRASES = ("in front of", "right in front of", "directly in front of")
SIDE_PHRASES = {
    "left": ("on your left", "on the left", "to your left", "on the left side", "to the left"),
    "right": ("on your right", "on the right", "to your right", "on the right side", "to the right"),
    "ahead": ("straight ahead", "in front of you", "directly ahead", "ahead of you"),
}


def look_alikes(category: str) -> frozenset[str]:
    """Categories, itself included, that a reader may take for this one."""
    return next((group for group in CONFUSABLE if category in group), frozenset({category}))

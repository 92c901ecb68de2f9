"""What belongs into a room of each kind, and how it is arranged."""

from __future__ import annotations

import re
from dataclasses import dataclass

_STEP = re.compile(
    r"(?P<category>[a-z ]+?)(?P<needed>!)?( (?P<how>corner|beside|opposite|front|centre|around|under|hung|above|top)( (?P<of>[a-z ]+?))?)?"
    r"( (?P<chance>\d+)%)?"
)


@dataclass(frozen=True)
class Step:
    """One piece: `how` it stands (against a "wall" unless said otherwise), and `of`, the piece in the same room that it refers to."""

    category: str
    how: str = "wall"
    of: str = ""
    needed: bool = False
    chance: float = 1.0


def parse_steps(text: str) -> tuple[Step, ...]:
    """Steps parted by "; ", each "CATEGORY[!] [HOW [OF]] [CHANCE%]"; with "!" a room is not recognisable without it."""
    steps = []
    for part in text.split("; "):
        match = _STEP.fullmatch(part)
        assert match is not None, part
        chance = float(match["chance"] or 100) / 100
        steps.append(Step(match["category"], match["how"] or "wall", match["of"] or "", match["needed"] is not None, chance))
    return tuple(steps)


def _table(texts: dict[str, str]) -> dict[str, tuple[Step, ...]]:
    return {kind: parse_steps(text) for kind, text in texts.items()}


ESSENTIALS = _table(
    {
        "living room": "sofa!; television! opposite sofa; coffee table! front sofa; rug under coffee table; armchair beside sofa",
        "kitchen": (
            "kitchen counter!; stove! beside kitchen counter; fridge! beside kitchen counter; dining table centre 50%; "
            "chair around dining table; kitchen island centre 60%"
        ),
        "bedroom": (
            "bed!; nightstand! beside bed; wardrobe!; rug front bed; desk 35%; office chair front desk; dresser 60%; mirror above dresser"
        ),
        "bathroom": "toilet!; washbasin!; bathtub 60%; shower corner; mirror above washbasin",
        "dining room": "dining table! centre; chair! around dining table; dresser; painting hung",
        "office": "desk!; office chair! front desk; bookshelf!; painting above desk",
        "hallway": "coat rack 70%; rug centre 60%; painting hung",
        "laundry room": "washing machine!; washing machine beside washing machine 50%; ironing board; washbasin 40%; kitchen counter 40%",
        "nursery": "crib!; toy chest!; dresser; rug centre; armchair corner",
        "gym": "treadmill!; exercise bike!; bench; mirror hung; fan corner",
        "library": "bookshelf!; bookshelf!; bookshelf; armchair! corner; rug centre; globe corner",
        "game room": "pool table! centre; bench; sofa; clock hung",
    }
)

EXTRAS = _table(
    {
        "living room": (
            "bookshelf; floor lamp corner; plant corner; painting above sofa; armchair; nightstand beside sofa; painting hung; "
            "vase top coffee table; floor lamp beside sofa"
        ),
        "kitchen": "kitchen counter; plant corner; clock hung; painting hung; vase top kitchen island; chair; vase top dining table",
        "bedroom": (
            "nightstand beside bed; painting above bed; floor lamp corner; armchair corner; plant corner; bench; painting hung; chair"
        ),
        "bathroom": "rug centre; plant corner; dresser; painting hung; washing machine",
        "dining room": (
            "rug under dining table; vase top dining table; plant corner; floor lamp corner; bookshelf; painting hung; mirror above dresser"
        ),
        "office": "floor lamp corner; plant corner; bookshelf; armchair corner; rug centre; clock hung; dresser; chair; painting hung",
        "hallway": "bench; painting hung; mirror hung; plant corner; dresser; clock hung",
        "laundry room": "dresser; plant corner; clock hung; painting hung; wardrobe; chair",
        "nursery": "painting hung; floor lamp corner; bookshelf; wardrobe; toy chest; plant corner; chair; painting hung",
        "gym": "exercise bike; plant corner; painting hung; bench; clock hung; rug centre; dresser",
        "library": (
            "floor lamp corner; desk; office chair front desk; armchair; painting hung; plant corner; coffee table centre; clock hung"
        ),
        "game room": "painting hung; plant corner; floor lamp corner; television; armchair corner; bookshelf; chair; painting hung",
    }
)

_SOCIAL = ("living room", "dining room", "library", "game room")
LANDMARKS: dict[str, tuple[str, ...]] = {  # one of a kind in a house wherever possible, and the rooms where it would stand
    "piano": (*_SOCIAL, "hallway"),
    "aquarium": (*_SOCIAL, "office", "hallway", "bedroom"),
    "fireplace": (*_SOCIAL, "bedroom", "office"),
    "globe": ("office", "library", "nursery", "living room", "hallway", "bedroom"),
    "bicycle": ("hallway", "laundry room", "gym", "game room", "office"),
    "guitar": ("bedroom", "living room", "game room", "office", "library", "nursery"),
    "vase": (*_SOCIAL, "hallway", "bedroom", "office", "bathroom"),
    "bench": ("hallway", "gym", "dining room", "bedroom", "laundry room"),
    "fan": ("gym", "laundry room", "kitchen", "bedroom", "office", "bathroom"),
    "ironing board": ("laundry room", "bedroom", "hallway"),
    "exercise bike": ("gym", "bedroom", "game room", "laundry room"),
    "treadmill": ("gym", "game room"),
    "toy chest": ("nursery", "game room", "living room"),
    "coat rack": ("hallway", "laundry room", "office", "living room"),
    "plant": (*_SOCIAL, "hallway", "kitchen", "bathroom", "office", "laundry room", "gym"),
    "clock": ("kitchen", "hallway", "dining room", "office", "laundry room", "bathroom", "gym"),
    "mirror": ("hallway", "bedroom", "gym", "nursery", "dining room"),
    "painting": ("kitchen", "bathroom", "laundry room", "nursery", "gym", "hallway", "bedroom"),
    "armchair": ("library", "bedroom", "office", "nursery", "kitchen"),
    "washing machine": ("kitchen", "bathroom"),
}
FRONT_CLEAR_M = {
    "sofa": 0.5, "television": 0.6, "bed": 0.5, "wardrobe": 0.6, "dresser": 0.5, "desk": 0.75, "bookshelf": 0.6, "fridge": 0.7,
    "stove": 0.7,
    "kitchen counter": 0.7, "toilet": 0.5, "washbasin": 0.5, "bathtub": 0.0, "shower": 0.5, "piano": 0.7, "fireplace": 0.7, "aquarium": 0.5,
    "washing machine": 0.6, "armchair": 0.4, "bench": 0.4,
}  # fmt: skip
HUNG = ("painting", "mirror", "clock")
FLAT = ("rug",)
UNIQUE_PER_ROOM = ("plant", "floor lamp", "bench", "dresser", "television", "desk", "clock", "mirror", "wardrobe", "fan", "coat rack")

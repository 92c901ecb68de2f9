"""Names of everything that can be seen in a house: surfaces, furniture, rooms, colours.

`CATEGORIES` is also the label space of the dense vision pre-training: append, never reorder.
"""

from __future__ import annotations

SURFACES = ("void", "floor", "wall", "ceiling", "door", "window")
FURNITURE = (
    "sofa", "armchair", "coffee table", "dining table", "chair", "bed", "nightstand", "wardrobe", "dresser", "desk",
    "office chair", "bookshelf", "television", "fridge", "stove", "kitchen counter", "kitchen island", "washing machine",
    "toilet", "bathtub", "shower", "washbasin", "plant", "floor lamp", "rug", "painting", "mirror", "clock", "piano",
    "fireplace", "bench", "coat rack", "exercise bike", "treadmill", "aquarium", "crib", "toy chest", "guitar",
    "bicycle", "pool table", "vase", "globe", "ironing board", "fan",
)  # fmt: skip
CATEGORIES = SURFACES + FURNITURE
ROOM_KINDS = (
    "living room", "kitchen", "bedroom", "bathroom", "dining room", "office", "hallway", "laundry room", "nursery", "gym",
    "library", "game room",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "yellow", "white", "black", "grey", "brown", "orange", "purple", "pink", "beige")

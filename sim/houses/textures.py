"""Tileable procedural textures by name, and which of them floors and walls of a family may use.

`texture("oak_planks")` gives the same pixels on every call. One repeat is meant for about 1 m on floors and walls. Furniture textures are
near white: they are multiplied by a colour. No floor, wall or picture name is in both families.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from zlib import crc32

import numpy as np

from sim.houses import materials, patterns, pictures
from sim.houses.patterns import Draw

WINDOW_VIEWS: tuple[str, ...] = ("window_view_0", "window_view_1", "window_view_2", "window_view_3")
_PAINTS = {
    "cream_paint": (238, 226, 198), "sky_paint": (176, 205, 226), "sage_paint": (176, 198, 164), "rose_paint": (231, 190, 184),
    "sand_paint": (219, 195, 155), "pearl_paint": (232, 232, 228), "lemon_paint": (242, 226, 150), "lilac_paint": (201, 187, 220),
    "mint_paint": (176, 222, 204), "teal_paint": (112, 160, 162), "coral_paint": (232, 158, 130), "ash_paint": (190, 194, 200),
}  # fmt: skip
_PLAIN: dict[str, Draw] = {name: patterns.plaster(rgb) for name, rgb in _PAINTS.items()}

_FLOORS: dict[str, Draw] = {
    "oak_planks": patterns.planks((184, 138, 86), 6, 0.10),
    "walnut_planks": patterns.planks((110, 72, 46), 6, 0.12),
    "maple_planks": patterns.planks((214, 180, 132), 5, 0.07),
    "grey_planks": patterns.planks((150, 142, 134), 5, 0.08),
    "white_tiles": patterns.tiles((226, 226, 222), (176, 176, 174), 3, 0.03),
    "grey_tiles": patterns.tiles((150, 154, 158), (112, 114, 116), 2, 0.06),
    "blue_tiles": patterns.tiles((128, 160, 190), (214, 218, 220), 4, 0.08),
    "chequer_tiles": patterns.chequer((228, 226, 218), (70, 74, 80), 4),
    "beige_carpet": patterns.pile((206, 188, 158), 0.10),
    "blue_carpet": patterns.pile((92, 114, 152), 0.12),
    "green_carpet": patterns.pile((110, 138, 104), 0.12),
    "slate_stone": patterns.flagstones((106, 112, 116), (74, 76, 78), 9, 0.12),
    "herringbone_wood": patterns.herringbone((172, 122, 72), 0.12),
    "cherry_parquet": patterns.parquet((158, 88, 54), 4, 0.10),
    "bleached_parquet": patterns.parquet((208, 190, 164), 3, 0.07),
    "terracotta_tiles": patterns.tiles((190, 106, 72), (206, 190, 168), 4, 0.10),
    "hexagon_tiles": patterns.hexagons((222, 216, 204), (132, 126, 120), 5),
    "diamond_tiles": patterns.diamonds((218, 212, 198), (150, 92, 76), 4),
    "terrazzo": patterns.terrazzo((220, 214, 206)),
    "grey_carpet": patterns.pile((152, 150, 148), 0.14),
    "wine_carpet": patterns.pile((136, 66, 74), 0.12),
    "sand_stone": patterns.flagstones((202, 182, 148), (152, 136, 110), 14, 0.10),
}  # fmt: skip
_WALLS: dict[str, Draw] = {
    **_PLAIN,
    "green_stripes": patterns.stripes((206, 216, 190), (172, 190, 156), 5),
    "blue_stripes": patterns.stripes((214, 224, 234), (160, 184, 210), 4),
    "dotted_paper": patterns.dots((240, 228, 214), (206, 142, 120), 5),
    "white_panels": patterns.panels((230, 228, 220)),
    "metro_tiles": patterns.bricks((236, 238, 236), (196, 198, 198), 8, 0.02),
    "aqua_tiles": patterns.tiles((158, 208, 212), (232, 236, 236), 6, 0.06),
    "sand_tiles": patterns.tiles((222, 204, 172), (186, 168, 140), 5, 0.04),
    "red_bricks": patterns.bricks((172, 92, 70), (200, 190, 178), 8, 0.12),
    "leaf_paper": patterns.leaf_paper((232, 232, 216), (122, 158, 116)),
    "trellis_paper": patterns.diamonds((236, 222, 190), (204, 172, 118), 5),
    "ochre_stripes": patterns.stripes((236, 210, 148), (214, 176, 100), 7),
    "pine_boards": patterns.boards((214, 176, 124), 8),
    "grey_boards": patterns.boards((190, 196, 198), 6),
    "white_bricks": patterns.bricks((226, 222, 214), (196, 190, 182), 7, 0.06),
    "green_metro": patterns.bricks((120, 168, 140), (222, 226, 220), 7, 0.06),
    "pink_tiles": patterns.tiles((232, 184, 186), (244, 240, 236), 6, 0.05),
    "mosaic_tiles": patterns.tiles((110, 150, 186), (228, 230, 230), 10, 0.20),
}
_FURNITURE: dict[str, Draw] = {
    "grain": materials.grain, "weave": materials.weave, "leather": materials.leather, "brushed": materials.brushed,
    "marble": materials.marble, "speckle": materials.speckle, "ribs": materials.ribs, "leaves": materials.leaves,
    "felt": patterns.pile((250, 250, 250), 0.05), "carpet": patterns.pile((245, 245, 245), 0.16),
    "small_tiles": patterns.tiles((250, 250, 250), (196, 198, 200), 4, 0.03),
    "brick": patterns.bricks((245, 240, 236), (190, 186, 180), 6, 0.14),
    "screen": pictures.desktop, "tv_screen": pictures.television, "mirror": pictures.mirror, "aquarium": pictures.aquarium,
    "keys": pictures.piano_keys, "clock_round": pictures.clock_face,
    **{name: pictures.window_view for name in WINDOW_VIEWS},
    **{f"books_{i}": pictures.books for i in range(4)},
    **{f"picture_{i:02d}": pictures.painting for i in range(36)},
}  # fmt: skip
_ALL: dict[str, Draw] = {**_FLOORS, **_WALLS, **_FURNITURE}
NAMES: tuple[str, ...] = ("white", *_ALL)

_WET = ("bathroom", "laundry room")
_TRAIN_WOOD, _UNSEEN_WOOD = (
    ("oak_planks", "walnut_planks", "maple_planks", "grey_planks"),
    ("herringbone_wood", "cherry_parquet", "bleached_parquet"),
)
FLOOR_TEXTURES: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "any": _TRAIN_WOOD,
        "kitchen": ("white_tiles", "grey_tiles", "chequer_tiles", "slate_stone"),
        "bathroom": ("white_tiles", "blue_tiles", "grey_tiles"),
        "laundry room": ("grey_tiles", "chequer_tiles"),
        "bedroom": ("beige_carpet", "blue_carpet", "oak_planks", "maple_planks"),
        "nursery": ("beige_carpet", "green_carpet", "maple_planks"),
        "office": ("walnut_planks", "oak_planks", "blue_carpet"),
        "hallway": ("slate_stone", "oak_planks", "grey_planks"),
        "gym": ("grey_planks", "green_carpet"),
        "game room": ("green_carpet", "walnut_planks"),
    },
    "unseen": {
        "any": _UNSEEN_WOOD,
        "kitchen": ("terracotta_tiles", "hexagon_tiles", "diamond_tiles", "terrazzo"),
        "bathroom": ("hexagon_tiles", "terrazzo", "diamond_tiles"),
        "laundry room": ("terracotta_tiles", "terrazzo"),
        "bedroom": ("grey_carpet", "wine_carpet", "bleached_parquet"),
        "nursery": ("grey_carpet", "bleached_parquet"),
        "office": ("cherry_parquet", "wine_carpet", "herringbone_wood"),
        "hallway": ("sand_stone", "herringbone_wood", "terrazzo"),
        "gym": ("grey_carpet", "terrazzo"),
        "game room": ("wine_carpet", "cherry_parquet"),
    },
}
WALL_TEXTURES: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "any": (
            "cream_paint",
            "sky_paint",
            "sage_paint",
            "rose_paint",
            "sand_paint",
            "pearl_paint",
            "green_stripes",
            "blue_stripes",
            "white_panels",
        ),
        **{kind: ("metro_tiles", "aqua_tiles", "sand_tiles") for kind in _WET},
        "kitchen": ("cream_paint", "sage_paint", "metro_tiles", "pearl_paint", "sand_paint"),
        "nursery": ("dotted_paper", "sky_paint", "rose_paint", "blue_stripes"),
        "hallway": ("pearl_paint", "white_panels", "cream_paint", "sand_paint"),
        "gym": ("pearl_paint", "red_bricks", "sky_paint"),
        "game room": ("red_bricks", "sage_paint", "sand_paint"),
        "library": ("white_panels", "sage_paint", "green_stripes"),
    },
    "unseen": {
        "any": (
            "lemon_paint",
            "lilac_paint",
            "mint_paint",
            "teal_paint",
            "coral_paint",
            "ash_paint",
            "leaf_paper",
            "trellis_paper",
            "ochre_stripes",
        ),
        **{kind: ("green_metro", "pink_tiles", "mosaic_tiles") for kind in _WET},
        "kitchen": ("lemon_paint", "mint_paint", "white_bricks", "green_metro"),
        "nursery": ("leaf_paper", "lilac_paint", "mint_paint", "lemon_paint"),
        "hallway": ("ash_paint", "grey_boards", "ochre_stripes", "white_bricks"),
        "gym": ("ash_paint", "white_bricks", "coral_paint"),
        "game room": ("pine_boards", "teal_paint", "white_bricks"),
        "library": ("pine_boards", "teal_paint", "trellis_paper"),
    },
}


def texture(name: str, size: int = 128) -> np.ndarray:
    """uint8 [size, size, 3], sRGB: the named texture, tileable in both directions unless it is a picture that fits one face.

    Row 0 is the top. Raises ValueError for a name that is not in NAMES. The result is shared between calls and read-only.
    """
    if name not in NAMES:
        raise ValueError(f"texture {name!r} is unknown; sim.houses.textures.NAMES lists the {len(NAMES)} there are")
    return _drawn(name, size)


@lru_cache(maxsize=256)
def _drawn(name: str, size: int) -> np.ndarray:
    if name == "white":
        image = np.full((size, size, 3), 255, np.uint8)
    else:
        draw: Callable[[np.random.Generator, int], np.ndarray] = _ALL[name]
        rng = np.random.default_rng(np.random.SeedSequence([crc32(name.encode()), 7]))
        image = np.clip(np.rint(draw(rng, size)), 0, 255).astype(np.uint8)
    image.setflags(write=False)
    return image

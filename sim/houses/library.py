"""Houses with their navmeshes by name, kept while they are in use."""

from __future__ import annotations

import re
from collections import OrderedDict

from sim.houses.generator import generate_house
from sim.houses.house import SPLITS, House
from sim.navmesh import NavMesh

_SCENE = re.compile(r"houses/(?P<name>[a-z_]+_\d+)/(?P=name)\.glb")


class HouseLibrary:
    """`library["train_0012"]` is (House, NavMesh); the `cache_size` houses used last are kept."""

    def __init__(self, cache_size: int) -> None:
        if cache_size < 1:
            raise ValueError(f"cache_size {cache_size} must be at least 1: a library keeps the house that it just made")
        self.cache_size = cache_size
        self._houses: OrderedDict[str, tuple[House, NavMesh]] = OrderedDict()

    def __getitem__(self, name: str) -> tuple[House, NavMesh]:
        """The house and its navmesh. Raises ValueError for a name that `generate_house` doesn't know."""
        if name not in self._houses:
            house = generate_house(name)
            self._houses[name] = (house, NavMesh.from_triangles(house.triangle_soup))
            if len(self._houses) > self.cache_size:
                self._houses.popitem(last=False)
        self._houses.move_to_end(name)
        return self._houses[name]


def scene_id(name: str) -> str:
    """The scene of a house in episode files, relative to the dataset's folder: where its GLB lies."""
    return f"houses/{name}/{name}.glb"


def scene_name(scene: str) -> str:
    """The house of a scene id. Raises ValueError when it is not one of ours."""
    match = _SCENE.fullmatch(scene)
    if match is None:
        raise ValueError(f'scene {scene!r} is not a built-in house ("houses/NAME/NAME.glb"); other scenes cannot be opened')
    return match["name"]


def house_names(split: str, count: int) -> tuple[str, ...]:
    """The first `count` houses of a split; val_seen has those of train. Raises ValueError for an unknown split."""
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is unknown; allowed are {', '.join(SPLITS)}")
    prefix = "val_unseen" if split == "val_unseen" else "train"
    return tuple(f"{prefix}_{number:04d}" for number in range(count))

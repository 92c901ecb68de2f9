"""What lies in `tensorrt/<architecture>/` of a bundle, and the shapes that its engines were built for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nvila_edge.engines.manifest import BundleError, Manifest
from nvila_edge.engines.spec import EngineSpec

ABOUT = "engines.json"
MAX_TILES = 13  # 12 tiles and the thumbnail, the published limit of `dynamic` (NVlabs/VILA: max_tiles)
MAX_TEXT_TOKENS = 1024  # instruction (448 at most), prompt and answer
ShapeRange = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


def graphs_of(spec: EngineSpec) -> tuple[str, ...]:
    """The bundle's graphs, by their names without ".onnx"; an engine has its graph's name."""
    return ("vision", "projector", "language") if spec.vision.scales > 1 else ("vision", "language")


def folder_of(bundle: Path, arch: str) -> Path:
    """Where the engines for an architecture lie."""
    return bundle / "tensorrt" / arch


def built(bundle: Path) -> list[str]:
    """The architectures that a bundle has engines for."""
    return sorted(path.name for path in (bundle / "tensorrt").glob("*") if (path / ABOUT).is_file())


def check_any(bundle: Path) -> None:
    """Raises BundleError when a bundle has no engines at all."""
    if not built(bundle):
        raise BundleError(
            f"{bundle} has no TensorRT engines; build them, on this machine or for its GPU (sm89, ..) on any: "
            f"nvila-edge export {bundle} {bundle} --target tensorrt-rtx --arch sm89"
        )


@dataclass(frozen=True)
class Shapes:
    """The largest inputs: `frames` (or tiles) in one vision pass, `positions` in one prefill, `past` keys and values before it."""

    frames: int
    positions: int
    past: int

    @staticmethod
    def of(spec: EngineSpec) -> Shapes:
        """Enough for a window of the profile, or one tiled image, and its text."""
        most = max(spec.frames, MAX_TILES) * (spec.vision.tokens + 1) + MAX_TEXT_TOKENS
        return Shapes(max(spec.frames, MAX_TILES), most, most)

    def profiles(self, name: str, spec: EngineSpec) -> list[dict[str, ShapeRange]]:
        """Optimisation profiles of one of `graphs_of`: input -> least, usual and largest shape."""
        vision = spec.vision
        if name == "vision":
            tile = (3, vision.image_size, vision.image_size)
            return [{"pixels": ((1, *tile), (1, *tile), (self.frames, *tile))}]
        if name == "projector":
            tile = (vision.grid**2, vision.scales * vision.hidden)
            return [{"features": ((1, *tile), (1, *tile), (self.frames, *tile))}]
        usual = min(self.positions, spec.frames * (spec.vision.tokens + 1) + 128)
        prefill = self._language(spec, (1, usual, self.positions), (0, usual // 2, self.past))
        return [prefill, self._language(spec, (1, 1, 1), (1, usual, self.past))]

    def _language(self, spec: EngineSpec, width: tuple[int, int, int], past: tuple[int, int, int]) -> dict[str, ShapeRange]:
        language = spec.language

        def shape(make: Any) -> ShapeRange:
            return make(width[0], past[0]), make(width[1], past[1]), make(width[2], past[2])

        ranges = {
            "inputs_embeds": shape(lambda t, _p: (1, t, language.hidden)),
            "position_ids": shape(lambda t, _p: (1, t)),
            "attention_mask": shape(lambda t, p: (1, 1, t, p + t)),
            "logit_positions": ((1,), (1,), (min(64, width[2]),)),
        }
        held = shape(lambda _t, p: (1, language.kv_heads, p, language.head_dim))
        return ranges | {f"past_{kind}.{i}": held for i in range(language.layers) for kind in ("key", "value")}


def inputs_and_outputs(name: str, spec: EngineSpec) -> dict[str, tuple[str, tuple[int, ...]]]:
    """What the engine of one of `graphs_of` takes and gives: name -> (type as TensorRT calls it, shape with -1 where it varies)."""
    vision, language = spec.vision, spec.language
    pixels = {"pixels": ("HALF", (-1, 3, vision.image_size, vision.image_size))}
    tokens = {"tokens": ("HALF", (-1, vision.tokens, vision.out_hidden))}
    if name == "vision":
        return pixels | (tokens if vision.scales == 1 else {"features": ("HALF", (-1, vision.grid**2, vision.hidden))})
    if name == "projector":
        return {"features": ("HALF", (-1, vision.grid**2, vision.scales * vision.hidden))} | tokens
    held = ("HALF", (1, language.kv_heads, -1, language.head_dim))
    kinds = [f"{kind}.{i}" for i in range(language.layers) for kind in ("key", "value")]
    return {
        "inputs_embeds": ("HALF", (1, -1, language.hidden)),
        "position_ids": ("INT64", (1, -1)),
        "attention_mask": ("HALF", (1, 1, -1, -1)),
        "logit_positions": ("INT64", (-1,)),
        "logits": ("HALF", (-1, language.vocab)),
        **{f"past_{kind}": held for kind in kinds},
        **{f"new_{kind}": held for kind in kinds},
    }


@dataclass(frozen=True)
class EngineInfo:
    """engines.json. `graphs`: SHA-256 of the bundle's graphs that the engines were built from."""

    target: str
    version: str
    arch: str
    shapes: Shapes
    graphs: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionaries."""
        return asdict(self)

    @staticmethod
    def read(bundle: Path, arch: str, manifest: Manifest) -> EngineInfo:
        """Raises BundleError when there are no engines for `arch`, or they were built from other graphs than the bundle holds."""
        folder = folder_of(bundle, arch)
        if not (folder / ABOUT).is_file():
            raise BundleError(
                f"{bundle} has engines for {', '.join(built(bundle)) or 'no architecture'}, not for {arch}; "
                f"build them: nvila-edge export {bundle} {bundle} --target tensorrt-rtx --arch {arch}"
            )
        try:
            content = json.loads((folder / ABOUT).read_text())
            info = EngineInfo(**{**content, "shapes": Shapes(**content["shapes"])})
        except (ValueError, TypeError, KeyError) as error:
            raise BundleError(f"{folder / ABOUT} is corrupt ({error}); build the engines again") from error
        if any(manifest.files.get(f"{name}.onnx", ("",))[0] != digest for name, digest in info.graphs.items()):
            raise BundleError(f"the engines in {folder} were built from other graphs than {bundle} holds; build them again")
        return info

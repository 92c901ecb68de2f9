"""Reads a checkpoint's tensors one at a time, so that a model larger than memory can be exported."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from nvila_edge.engines.spec import EngineSpec, spec_of_checkpoint
from nvila_edge.model.checkpoint import PARTS, CheckpointError, checkpoint_folder


class TensorFolder:
    """The tensors of all safetensors files of a folder, by name, as float32 arrays read when asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, Path] = {}
        for file in sorted(folder.glob("*.safetensors")):
            with safe_open(file, framework="pt") as tensors:
                self._files.update(dict.fromkeys(tensors.keys(), file))
        if not self._files:
            raise CheckpointError(f"{folder} has no .safetensors file; is the download complete?")

    def __contains__(self, name: str) -> bool:
        return name in self._files

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._files:
            raise CheckpointError(f"{self.folder} lacks the tensor {name}; the files do not fit its config.json")
        with safe_open(self._files[name], framework="pt") as tensors:
            return tensors.get_tensor(name).to(torch.float32).numpy()

    def count(self, prefix: str) -> int:
        """How many numbers the tensors hold whose names start with `prefix`; read from the files' headers."""
        return sum(math.prod(self._shape(name)) for name in self._files if name.startswith(prefix))

    def _shape(self, name: str) -> list[int]:
        with safe_open(self._files[name], framework="pt") as tensors:
            return tensors.get_slice(name).get_shape()

    def below(self, prefix: str) -> dict[str, np.ndarray]:
        """All tensors whose names start with `prefix`, by the rest of the name."""
        return {name[len(prefix) :]: self[name] for name in sorted(self._files) if name.startswith(prefix)}


class Checkpoint:
    """A checkpoint folder in the published layout, opened for reading layer by layer."""

    def __init__(self, path: str | Path) -> None:
        self.folder = checkpoint_folder(path)
        self.spec: EngineSpec = spec_of_checkpoint(self.folder)
        self._llm, self._tower, self._projector = (TensorFolder(self.folder / part) for part in PARTS)

    def vision_stem(self) -> dict[str, np.ndarray]:
        """Patch and position embeddings, by the names of `export.vision_graph`."""
        return self._tower.below("vision_model.embeddings.")

    def vision_layer(self, index: int) -> dict[str, np.ndarray]:
        """One tower layer, names after `encoder.layers.N.`."""
        return self._tower.below(f"vision_model.encoder.layers.{index}.")

    def projector(self) -> dict[str, np.ndarray]:
        """`layers.K.*`."""
        return self._projector.below("")

    def language_layer(self, index: int) -> dict[str, np.ndarray]:
        """One decoder layer, names after `model.layers.N.`."""
        return self._llm.below(f"model.layers.{index}.")

    def language_layers(self) -> Iterator[dict[str, np.ndarray]]:
        """All decoder layers, one at a time."""
        return (self.language_layer(i) for i in range(self.spec.language.layers))

    def vision_layers(self) -> Iterator[dict[str, np.ndarray]]:
        """The tower's layers that are run, one at a time."""
        return (self.vision_layer(i) for i in range(self.spec.vision.layers))

    def vision_numbers(self) -> int:
        """How many weights a vision graph holds, at most (layers that are not run counted too)."""
        return self._tower.count("") + self._projector.count("")

    def language_numbers(self) -> int:
        """How many weights a language graph holds: layers and head."""
        return self._llm.count("model.layers.") + self.spec.language.vocab * self.spec.language.hidden

    def norm(self) -> np.ndarray:
        """The final RMS norm's weight [H]."""
        return self._llm["model.norm.weight"]

    def embedding(self) -> np.ndarray:
        """The token table [vocab, H]."""
        return self._llm["model.embed_tokens.weight"]

    def head(self) -> np.ndarray:
        """The output Linear's weight [vocab, H]; the token table when they are tied."""
        return self.embedding() if self.spec.language.tied or "lm_head.weight" not in self._llm else self._llm["lm_head.weight"]

    def sha256(self) -> str:
        """One hash over the names and bytes of all weights and configurations."""
        total = hashlib.sha256()
        files = [path for path in self.folder.rglob("*") if path.name == "config.json" or path.suffix == ".safetensors"]
        for path in sorted(files):
            total.update(str(path.relative_to(self.folder)).encode())
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    total.update(chunk)
        return total.hexdigest()

"""Where a checkpoint's tensors lie, and how they come into memory: described first, checked against the model, then read one by one.

Nothing is read twice: tensors of the wanted dtype stay mapped from their file, others are converted one at a time. No pickle: torch files are opened
with torch's weights-only loader.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nvila_edge.model.awq import is_awq, unpacked
from nvila_edge.model.checkpoint import PARTS, CheckpointError, is_single_file, read_json

_SAFETENSORS_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet: its shape, where it comes from (for messages), and what reads it (dtype None: as stored)."""

    shape: tuple[int, ...]
    origin: str
    load: Callable[[torch.dtype | None], Tensor]


def part_tensors(folder: Path, part: str) -> dict[str, StoredTensor]:
    """The tensors of `llm`, `vision_tower` or `mm_projector`, under the names of our modules. Raises CheckpointError when files are missing or broken."""
    if is_single_file(folder):
        found = {name.removeprefix(f"{part}."): value for name, value in _folder_tensors(folder).items() if name.startswith(f"{part}.")}
    else:
        found = _folder_tensors(folder / part, awq=part == "llm")
    if not found:
        raise CheckpointError(f"{folder} has no tensors of {part}; expected {part}/*.safetensors, or keys that begin with {part}.")
    return {_own_name(part, name): value for name, value in found.items()}


def _own_name(part: str, name: str) -> str:
    """The tower's published names stand under `vision_model.`, in a single file also under a second `vision_tower.`."""
    return name.rsplit("vision_model.", 1)[-1] if part == "vision_tower" else name


def fill(module: nn.Module, stored: dict[str, StoredTensor], where: str, dtype: torch.dtype | None, optional: Iterable[str] = ()) -> None:
    """Gives a module made on torch's meta device its tensors. Every name and shape is checked before anything is read.

    Raises CheckpointError naming the tensor, its file, what was expected and what was found.
    """
    wanted, optional = module.state_dict(), set(optional)
    missing = sorted(set(wanted) - set(stored) - optional)
    if missing:
        raise CheckpointError(f"{where} lacks {len(missing)} tensors, the first is {missing[0]}; the files do not fit the configuration")
    for name in wanted.keys() & stored.keys():
        if tuple(wanted[name].shape) != stored[name].shape:
            raise CheckpointError(
                f"{stored[name].origin}: expected shape {list(wanted[name].shape)} for {name} by the configuration, found {list(stored[name].shape)}"
            )
    module.load_state_dict({name: stored[name].load(dtype) for name in wanted if name in stored}, strict=False, assign=True)


def _folder_tensors(folder: Path, awq: bool = False) -> dict[str, StoredTensor]:
    safetensors, torch_files = _files(folder)
    found = {name: value for file in safetensors for name, value in _safetensors(file).items()}
    for file in torch_files if not safetensors else ():
        found |= torch_tensors(file)
    if awq and is_awq(found):
        return {
            name: StoredTensor(shape, origin, partial(_unpack, parts, shape)) if parts else found[name]
            for name, (shape, origin, parts) in unpacked(found).items()
        }
    return found


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """safetensors and torch files; an index says which shards there must be."""
    for index in folder.glob("*.index.json"):
        shards = sorted(set(read_json(index).get("weight_map", {}).values()))
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder / missing[0]} is missing: {index.name} lists {len(shards)} files, {len(missing)} are not there")
        if shards and shards[0].endswith(".safetensors"):
            return [folder / name for name in shards], []
    adapters = (
        "adapter_model.safetensors",
        "adapter_model.bin",
        "non_lora_trainables.bin",
        "training_args.bin",
        "optimizer.pt",
        "scheduler.pt",
    )
    everything = [file for file in sorted(folder.glob("*")) if file.name not in adapters]
    return (
        [file for file in everything if file.suffix == ".safetensors"],
        [file for file in everything if file.suffix in (".bin", ".pt") and "smooth-scale" not in file.name],
    )


def _safetensors(path: Path) -> dict[str, StoredTensor]:
    try:
        handle = safe_open(path, "pt")
        names = list(handle.keys())
        slices = {name: handle.get_slice(name) for name in names}
        return {
            name: StoredTensor(
                tuple(slices[name].get_shape()), f"{path}, key {name}", partial(_read, handle, path, name, slices[name].get_dtype())
            )
            for name in names
        }
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} cannot be read: {error}; is the download complete ({path.stat().st_size} bytes are there)?"
        ) from error


def _read(handle: safe_open, path: Path, name: str, stored: str, dtype: torch.dtype | None) -> Tensor:
    if dtype is None or _SAFETENSORS_DTYPES.get(stored) in (dtype, None):
        return handle.get_tensor(name)  # stays mapped
    with safe_open(path, "pt") as once:  # a mapping of its own, so that the pages of the original go away with it
        return once.get_tensor(name).to(dtype)


def torch_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a torch file, mapped. Raises CheckpointError when it holds anything but tensors."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return {name: StoredTensor(tuple(value.shape), f"{path}, key {name}", partial(_converted, value)) for name, value in state.items()}
    except Exception as error:  # noqa: BLE001  torch raises RuntimeError, UnpicklingError, ValueError or AttributeError for files that are no weights
        raise CheckpointError(
            f"{path} cannot be read as weights: {str(error).splitlines()[0]}; expected a torch file of tensors only"
        ) from error


def _converted(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    return value.to(dtype) if dtype is not None and value.is_floating_point() else value


def _unpack(parts: Callable[[], Tensor], shape: tuple[int, ...], dtype: torch.dtype | None) -> Tensor:
    weight = parts()
    assert tuple(weight.shape) == shape
    return _converted(weight, dtype)


def check_parts(folder: Path) -> None:
    """Opens every file's header. Raises CheckpointError for what is missing or truncated, before anything large is read."""
    for part in PARTS:
        part_tensors(folder, part)

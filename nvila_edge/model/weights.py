"""Where a checkpoint's tensors lie, and how they come into memory: described first, checked against the model, then read one by one.

Nothing is read twice: tensors of the wanted dtype stay mapped from their file, others are converted one at a time. No pickle: torch files are opened
with torch's weights-only loader.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from nvila_edge.model import awq
from nvila_edge.model.checkpoint import CheckpointError, is_single_file, read_json

_SAFETENSORS_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I16": torch.int16}
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
# Beside a model's weights lie files of its training, of adapters, and TinyChat's calibration of the tower: none of them holds the weights.
_OTHER_FILES = (
    "adapter_model.safetensors", "adapter_model.bin", "non_lora_trainables.bin", "training_args.bin", "optimizer.pt", "scheduler.pt",
)  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet: its shape, where it comes from (for messages), what reads it (dtype None: as stored), and its stored dtype
    (None: one that weights do not have). `load(dtype, own=True)` maps a file anew, so that its pages go away with the tensor; `packed` reads what
    awq.codes gives, where the file holds packed codes."""

    shape: tuple[int, ...]
    origin: str
    load: Callable[..., Tensor]
    dtype: torch.dtype | None
    packed: Callable[[], tuple[Tensor, Tensor, Tensor]] | None = None


def part_tensors(folder: Path, part: str) -> dict[str, StoredTensor]:
    """The tensors of `llm`, `vision_tower` or `mm_projector`, under the names of our modules. Raises CheckpointError when files are missing or broken."""
    if is_single_file(folder):
        found = {name.removeprefix(f"{part}."): value for name, value in _folder_tensors(folder).items() if name.startswith(f"{part}.")}
    else:
        found = _folder_tensors(folder / part)
        if part == "llm":
            found = _with_awq(found, folder)
    if not found:
        raise CheckpointError(f"{folder} has no tensors of {part}; expected {part}/*.safetensors, or keys that begin with {part}.")
    return {_own_name(part, name): value for name, value in found.items()}


def _own_name(part: str, name: str) -> str:
    """The tower's published names stand under `vision_model.`, in a single file also under a second `vision_tower.`."""
    return name.rsplit("vision_model.", 1)[-1] if part == "vision_tower" else name


def check(module: nn.Module, stored: dict[str, StoredTensor], where: str, optional: Iterable[str] = ()) -> None:
    """Compares what is stored with what the module needs, without reading it.

    Raises CheckpointError naming the tensor, its file, what was expected and what was found.
    """
    wanted, optional = module.state_dict(), set(optional)
    missing = sorted(set(wanted) - set(stored) - optional)
    if missing:
        raise CheckpointError(f"{where} lacks {len(missing)} tensors, the first is {missing[0]}; the files do not fit the configuration")
    for name in wanted.keys() & stored.keys():
        expected, found = list(wanted[name].shape), stored[name]
        if tuple(expected) != found.shape:
            raise CheckpointError(f"{found.origin}: expected shape {expected} for {name} by the configuration, found {list(found.shape)}")
        if found.dtype not in FLOATS:
            raise CheckpointError(
                f"{found.origin}: expected {name} as float32, bfloat16 or float16, found another dtype (quantised weights?)"
            )


def fill(module: nn.Module, stored: dict[str, StoredTensor], where: str, dtype: torch.dtype | None, optional: Iterable[str] = ()) -> None:
    """Gives a module made on torch's meta device its tensors, after `check`; dtype None: as stored."""
    check(module, stored, where, optional)
    wanted = module.state_dict()
    module.load_state_dict({name: stored[name].load(dtype) for name in wanted if name in stored}, strict=False, assign=True)


def _folder_tensors(folder: Path) -> dict[str, StoredTensor]:
    safetensors, torch_files = _files(folder)
    found = {name: value for file in safetensors for name, value in safetensors_tensors(file).items()}
    for file in torch_files if not safetensors else ():
        found |= torch_tensors(file)
    return found


def _with_awq(found: dict[str, StoredTensor], folder: Path) -> dict[str, StoredTensor]:
    """The language model's tensors with its packed layers as weights. A file *awq*.pt in llm/ or beside it replaces what lies in the other files."""
    for place in (folder, folder / "llm"):
        for file in sorted(place.glob("*awq*.pt")):
            found = found | (torch_tensors(file) if not _is_other(file) else {})
    layers = awq.packed(found)
    replaced = {f"{layer}.{kind}" for layer in layers for kind in (*awq.PARTS, "weight")}
    weights = {
        f"{layer}.weight": StoredTensor(
            shape, qweight.origin, partial(awq.weight, found, layer), found[f"{layer}.scales"].dtype, partial(awq.codes, found, layer)
        )
        for layer, (shape, qweight) in layers.items()
    }
    return {name: value for name, value in found.items() if name not in replaced} | weights


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """safetensors and torch files; an index says which shards there must be."""
    for index in sorted(folder.glob("*.index.json"), key=lambda path: "safetensors" not in path.name):
        listed = read_json(index).get("weight_map")
        if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
            raise CheckpointError(f"{index} has no weight_map of tensor names to files; is the download complete?")
        shards = sorted(set(listed.values()))
        outside = [name for name in shards if Path(name).is_absolute() or ".." in Path(name).parts]
        if outside:
            raise CheckpointError(f"{index} names {outside[0]}, which lies outside of {folder}; expected files of that folder")
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"{folder / missing[0]} is missing: {index.name} lists {len(shards)} files, {len(missing)} are not there")
        paths = [folder / name for name in shards]
        return (paths, []) if all(path.suffix == ".safetensors" for path in paths) else ([], paths)
    everything = [file for file in sorted(folder.glob("*")) if not _is_other(file)]
    return (
        [file for file in everything if file.suffix == ".safetensors"],
        [file for file in everything if file.suffix in (".bin", ".pt") and "awq" not in file.name],
    )


def _is_other(file: Path) -> bool:
    return file.name in _OTHER_FILES or any(word in file.name.replace("_", "-") for word in ("smooth-scale", "act-scale"))


def _unreadable(path: Path, error: object) -> CheckpointError:
    if path.is_file() and path.stat().st_size < 1024 and path.read_bytes().startswith(b"version https://git-lfs"):
        return CheckpointError(f"{path} is a Git LFS pointer, not the file itself; fetch it with: git lfs pull")
    what = f"{path.stat().st_size} bytes are there" if path.is_file() else "a folder" if path.is_dir() else "a link to nothing"
    return CheckpointError(f"{path} cannot be read: {error}; is the download complete ({what})?")


def safetensors_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a safetensors file, mapped. Raises CheckpointError when it is not one, or truncated."""
    if not path.is_file():
        raise _unreadable(path, "expected a file")
    try:
        handle = safe_open(path, "pt")
        slices = {name: handle.get_slice(name) for name in handle.keys()}  # noqa: SIM118  not a dict
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    found = {}
    for name, one in slices.items():
        dtype = _SAFETENSORS_DTYPES.get(one.get_dtype())
        found[name] = StoredTensor(tuple(one.get_shape()), f"{path}, key {name}", partial(_read, handle, path, name, dtype), dtype)
    return found


def _read(handle: safe_open, path: Path, name: str, stored: torch.dtype | None, dtype: torch.dtype | None, own: bool = False) -> Tensor:
    if not own and (dtype in (stored, None) or stored not in FLOATS):
        return handle.get_tensor(name)  # stays mapped
    with safe_open(path, "pt") as once:  # a mapping of its own, so that the pages of the original go away with it
        value = once.get_tensor(name)
        return value if dtype is None else value.to(dtype)


def torch_tensors(path: Path) -> dict[str, StoredTensor]:
    """The tensors of a torch file, mapped. Raises CheckpointError when it holds anything but tensors."""
    state = _torch_state(path)
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path}, key {name}: expected a tensor, found {type(value).__name__}")
    return {
        name: StoredTensor(tuple(value.shape), f"{path}, key {name}", partial(_torch_read, path, name, value), value.dtype)
        for name, value in state.items()
    }


def _torch_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise _unreadable(path, "expected a file")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))  # old files cannot be mapped
    except Exception as error:  # noqa: BLE001  torch raises RuntimeError, EOFError, ValueError, AttributeError or KeyError for files that are broken
        if type(error).__name__ == "UnpicklingError":
            raise CheckpointError(f"{path} is refused: it holds Python code or objects; expected a torch file of tensors only") from error
        raise _unreadable(path, str(error).split("\n", 1)[0]) from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path}: expected a dict of tensors, found {type(state).__name__}")
    return state


def _torch_read(path: Path, name: str, value: Tensor, dtype: torch.dtype | None, own: bool = False) -> Tensor:
    if not own and (dtype in (value.dtype, None) or value.dtype not in FLOATS):
        return value
    source = _torch_state(path)[name] if zipfile.is_zipfile(path) else value  # as for safetensors: the pages go away with the mapping
    return source if dtype is None else source.to(dtype)

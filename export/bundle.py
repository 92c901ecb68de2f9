"""Writes bundles: everything aside first, the manifest last, then one rename, so that nothing half-written is taken for whole."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nvila_edge.engines.manifest import EMBEDDING, NAME, TOKENIZER, Manifest, file_digest, read_manifest
from nvila_edge.engines.spec import EngineSpec


@contextmanager
def locked(out: Path) -> Iterator[Path]:
    """`out` with links followed, for this process alone. Raises ValueError when another one is writing to it."""
    out = Path(out).expanduser().resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    path = out.with_name(f"{out.name}.lock")
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(
                os.fstat(file.fileno()), path.stat()
            ):  # its last owner has removed it meanwhile, and the next one made another
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            raise ValueError(f"another export is writing to {out}; wait for it, or give another output folder") from None
        try:
            yield out
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A folder beside `out` to write into; it replaces `out` when the block succeeds and is removed when it fails.

    At every moment `out` or, for the blink between two renames, OUT.replaced is a whole bundle; the next export puts the latter back.
    Raises ValueError when `out` exists and is neither empty nor a bundle: exports never delete what they did not write.
    """
    aside, old = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.replaced")
    _put_back(old, out)
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / NAME).is_file())):
        raise ValueError(f"{out} exists and is not a bundle; give another output folder or remove it yourself")
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    try:
        yield aside
        if out.exists():
            out.rename(old)
        aside.rename(out)
    finally:
        _put_back(old, out)
        shutil.rmtree(aside, ignore_errors=True)


def _put_back(old: Path, out: Path) -> None:
    """Make `old` what `out` was, unless the new one is there already: then it is not needed any more."""
    if old.exists() and not out.exists():
        old.rename(out)
    shutil.rmtree(old, ignore_errors=True)


def write_embedding(folder: Path, table: np.ndarray) -> None:
    """The token table float [vocab, H] as fp16 `embedding.npy`. Raises ValueError when a value does not fit fp16."""
    half = table.astype(np.float16)
    if not np.isfinite(half).all():
        raise ValueError("the token table holds values that fp16 cannot represent; is the checkpoint damaged?")
    np.save(folder / EMBEDDING, half, allow_pickle=False)


def copy_tokenizer(tokenizer_folder: Path, folder: Path) -> None:
    """tokenizer.json of a checkpoint."""
    source = tokenizer_folder / TOKENIZER
    if not source.is_file():
        raise ValueError(
            f"{source} is missing; engines read this file, make it with transformers' AutoTokenizer.from_pretrained(..).save_pretrained(..)"
        )
    shutil.copy(source, folder / TOKENIZER)


def write_manifest(folder: Path, spec: EngineSpec, about: dict[str, Any]) -> Manifest:
    """manifest.json over every file in the folder. about: JSON content (source, recipe, calibration, accuracy)."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != NAME)
    manifest = Manifest(spec, {name: file_digest(folder / name) for name in names}, about)
    save_manifest(folder, manifest)
    return manifest


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """manifest.json, in one rename."""
    aside = folder / f"{NAME}.partial"
    aside.write_text(json.dumps(manifest.to_json(), indent=1, sort_keys=True) + "\n")
    aside.rename(folder / NAME)


def is_bundle(path: str | Path) -> bool:
    """Whether a folder is a bundle rather than a checkpoint."""
    return (Path(path) / NAME).is_file()


def copied_bundle(bundle: Path, out: Path) -> None:
    """The bundle as `out`, whole or not at all; nothing to do where it is `out`. Raises BundleError when it is not intact."""
    read_manifest(bundle)
    if out.exists() and out.samefile(bundle):
        return
    if bundle.resolve() in out.resolve().parents:
        raise ValueError(f"{out} lies inside of {bundle}; give a folder outside of it")
    with locked(out) as out, staged(out) as folder:
        shutil.copytree(bundle, folder, dirs_exist_ok=True)

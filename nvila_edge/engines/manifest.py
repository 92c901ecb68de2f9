"""A bundle's manifest: what it was made from and how, and a SHA-256 for every file. Reading it checks everything before anything is run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nvila_edge.engines.spec import EngineSpec
from nvila_edge.navigation.agent_profiles import OURS, agent_profile, check_prompt
from nvila_edge.navigation.profiles import profile

FORMAT = 2  # 2: media rules and chat template in the spec
NAME = "manifest.json"
VISION, LANGUAGE, EMBEDDING, TOKENIZER = "vision.onnx", "language.onnx", "embedding.npy", "tokenizer.json"
PROJECTOR = "projector.onnx"  # only of models that join several scales
REQUIRED = (VISION, LANGUAGE, EMBEDDING, TOKENIZER)
_MEND = "export it again (nvila-edge export CKPT OUT), or reinstall nvila-edge if it is the built-in bundle"


class BundleError(ValueError):
    """A folder that is not a whole bundle of this version; the message names the mend."""


@dataclass(frozen=True)
class Manifest:
    """The parsed manifest. `files` maps a path within the bundle to (SHA-256, bytes); `about` keeps source, recipe, calibration, accuracy and
    agent.
    """

    spec: EngineSpec
    files: dict[str, tuple[str, int]]
    about: dict[str, Any]

    @property
    def agent(self) -> str:
        """The agent that the model is meant for, by name (navigation/agent_profiles.py)."""
        return self.about.get("agent", OURS.name)

    def to_json(self) -> dict[str, Any]:
        """The content of manifest.json."""
        files = {name: {"sha256": digest, "bytes": size} for name, (digest, size) in sorted(self.files.items())}
        rule = "ring of blocks" if profile(self.spec.profile).keeps_past else "window sampled anew"
        return {
            "format": FORMAT,
            **self.about,
            "prompt_profile": self.spec.profile,
            "history_rule": {"kind": rule, "frames": self.spec.frames},
            "spec": self.spec.to_json(),
            "files": files,
        }


def file_digest(path: Path) -> tuple[str, int]:
    """SHA-256 as hex digits, and the size in bytes."""
    total, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            total.update(chunk)
            size += len(chunk)
    return total.hexdigest(), size


def read_manifest(folder: str | Path) -> Manifest:
    """Read and verify: format version, that every file is there, its size and its hash. Raises BundleError."""
    root = Path(folder)
    manifest = _parse(root, _load(root))
    for name in (*REQUIRED, PROJECTOR) if manifest.spec.vision.scales > 1 else REQUIRED:
        if name not in manifest.files:
            raise BundleError(f"{root / NAME} does not list {name}; {_MEND}")
    for name, (digest, size) in manifest.files.items():
        _check_file(root, name, digest, size)
    return manifest


def read_description(folder: str | Path) -> Manifest:
    """What the manifest says, of files that are not looked at: enough to know how to ask the model. Raises BundleError."""
    root = Path(folder)
    return _parse(root, _load(root))


def _load(root: Path) -> dict[str, Any]:
    path = root / NAME
    if not path.is_file():
        raise BundleError(f"{root} is not a bundle: it has no {NAME}; make one with nvila-edge export CKPT {root}")
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path} is corrupt ({error}); {_MEND}") from error
    found = content.get("format") if isinstance(content, dict) else None
    if type(found) is not int:
        raise BundleError(f"{path} is corrupt: it has no format version; {_MEND}")
    if found < FORMAT:
        raise BundleError(f"{root} has bundle format {found}, this version reads {FORMAT}: it is older; {_MEND}")
    if found > FORMAT:
        raise BundleError(f"{root} has bundle format {found}, this version reads {FORMAT}: it is newer; upgrade nvila-edge")
    return content


def _parse(root: Path, content: dict[str, Any]) -> Manifest:
    try:
        spec = EngineSpec.from_json(content["spec"])
        files = {str(name): (str(entry["sha256"]), int(entry["bytes"])) for name, entry in content["files"].items()}
        check_prompt(agent_profile(content.get("agent", OURS.name)), spec.profile)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BundleError(f"{root / NAME} is corrupt ({type(error).__name__}: {error}); {_MEND}") from error
    written_anew = ("format", "spec", "files", "prompt_profile", "history_rule")
    return Manifest(spec, files, {key: value for key, value in content.items() if key not in written_anew})


def _check_file(root: Path, name: str, digest: str, size: int) -> None:
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise BundleError(f"{root / NAME} lists {name!r}, which lies outside of the bundle; {_MEND}")
    path = root / name
    if not path.is_file():
        raise BundleError(f"{root} lacks {name}; copy the whole folder, or {_MEND}")
    found, bytes_found = file_digest(path)
    if bytes_found != size:
        raise BundleError(f"{path} has {bytes_found} bytes, its manifest says {size}: it was cut off or replaced; {_MEND}")
    if found != digest:
        raise BundleError(f"{path} does not match its SHA-256 in the manifest ({found[:12]}.. instead of {digest[:12]}..); {_MEND}")

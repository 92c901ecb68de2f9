"""Is everything here that the verbs need? Each check says what it found, or what is wrong and how to mend it."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

_PACKAGES = {  # module -> (extra that brings it, what for)
    "cv2": ("", "images"), "zmq": ("", "serving"), "onnxruntime": ("cpu", "engines"), "moderngl": ("sim", "houses"),
    "av": ("sim", "videos"), "torch": ("train", "training, export"),
    "transformers": ("train", "training, export"), "onnx": ("export", "export"),
}  # fmt: skip
_DISTRIBUTIONS = {"cv2": "opencv-python-headless", "zmq": "pyzmq"}
_SLOW = ("torch", "transformers")  # seconds to import: looked up only


@dataclass(frozen=True)
class Check:
    """A named check: `probe` returns what it found or raises with what is wrong."""

    name: str
    probe: Callable[[], str]


def checks(bundle: Path, more: Sequence[Check] = ()) -> list[tuple[str, bool, str]]:
    """Run all checks: (name, whether it is fine, what was found or is wrong)."""
    return [_run(check) for check in (*_own(bundle), *more)]


def _own(bundle: Path) -> list[Check]:
    packages = [Check(f"package {name} ({what})", partial(_package, name, extra)) for name, (extra, what) in _PACKAGES.items()]
    return [
        Check("Python", platform.python_version), Check("machine", _machine), *packages, Check("loopback port", _port),
        Check("built-in bundle", partial(_bundle, bundle)), Check("free disk space", _disk),
    ]  # fmt: skip


def _run(check: Check) -> tuple[str, bool, str]:
    try:
        return check.name, True, check.probe()
    except (ImportError, OSError, ValueError, RuntimeError) as error:
        return check.name, False, str(error)


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _package(name: str, extra: str) -> str:
    try:
        if name not in _SLOW:
            importlib.import_module(name)  # a package that is there may still miss a system library
        return version(_DISTRIBUTIONS.get(name, name))
    except ImportError as error:
        wanted = f"nvila-edge[{extra}]" if extra else "nvila-edge"
        raise ImportError(f'not installed ({error}); mend it with: pip install "{wanted}"') from error


def _port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"free, for example {listener.getsockname()[1]}"


def _bundle(folder: Path) -> str:
    from nvila_edge.engines.manifest import read_manifest

    manifest = read_manifest(folder)
    size = sum(size for _, size in manifest.files.values())
    return f"whole, {len(manifest.files)} files, {size / 1e6:.1f} MB, profile {manifest.spec.profile}"


def _disk() -> str:
    free = shutil.disk_usage(Path.cwd()).free
    if free < 200_000_000:
        raise ValueError(f"only {free / 1e6:.0f} MB are free here; make room, or give --out on another disk")
    return f"{free / 1e9:.1f} GB"

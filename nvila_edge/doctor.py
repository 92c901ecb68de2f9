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

from nvila_edge.gpu import gpus

# Optional modules: the extra that brings each, and what it is for.
EXTRAS = {
    "onnxruntime": ("cpu", "engines"), "moderngl": ("sim", "houses"), "av": ("sim", "videos"), "scipy": ("sim", "houses"),
    "trimesh": ("sim", "houses"), "fastdtw": ("sim", "evaluation"), "torch": ("train", "training, export"),
    "transformers": ("train", "training, export"), "safetensors": ("train", "training, export"), "onnx": ("export", "export"),
    "ml_dtypes": ("export", "export"), "tensorrt_rtx_bindings": ("tensorrt", "GPU engines"), "ray": ("ray", "evaluation on many machines"),
    "pyarrow": ("lerobot", "LeRobot data sets"), "peft": ("train", "tuning with adapters"), "bitsandbytes": ("qlora", "tuning a 4-bit model"),
    "rosbags": ("record", "recordings"), "pyrealsense2": ("realsense", "RealSense cameras"),
    "torchao": ("fp8", "FP8 training"), "liger_kernel": ("fp8", "the loss as one kernel"),
}  # fmt: skip
_REQUIRED = {"cv2": "images", "zmq": "serving", "msgpack": "serving", "tokenizers": "engines"}
_SLOW = ("torch", "transformers", "peft", "bitsandbytes", "torchao", "liger_kernel")  # seconds to import: looked up only
OK, OPTIONAL, FAIL = "ok", "optional", "FAIL"


@dataclass(frozen=True)
class Check:
    """A named check: `probe` returns what it found or raises with what is wrong."""

    name: str
    probe: Callable[[], str]


@dataclass(frozen=True)
class Finding:
    """state: OK; OPTIONAL, something is not installed that only some verbs need; or FAIL. text: what was found, or is wrong and its mend."""

    name: str
    state: str
    text: str


def checks(bundle: Path, more: Sequence[Check] = ()) -> list[Finding]:
    """Run all checks."""
    return run_checks([*_own(bundle), *more])


def run_checks(wanted: Sequence[Check]) -> list[Finding]:
    """Run these checks and no others."""
    return [_run(check) for check in wanted]


def mend(module: str | None) -> str | None:
    """How to install an optional module (or the one that a submodule belongs to); None for a module that no extra brings."""
    extra, _ = EXTRAS.get((module or "").split(".")[0], (None, ""))
    return extra and f'pip install "nvila-edge[{extra}]"'


def _own(bundle: Path) -> list[Check]:
    uses = _REQUIRED | {name: use for name, (_, use) in EXTRAS.items()}
    packages = [Check(f"package {name} ({use})", partial(_package, name)) for name, use in uses.items()]
    return [
        Check("Python", platform.python_version), Check("machine", _machine), Check("GPU", _gpu), *packages,
        Check("ONNX Runtime providers", _providers), Check("loopback port", _port),
        Check("built-in bundle", partial(_bundle, bundle)), Check("free disk space", _disk),
    ]  # fmt: skip


def _run(check: Check) -> Finding:
    try:
        return Finding(check.name, OK, check.probe())
    except ModuleNotFoundError as error:
        command = mend(error.name)
        text = f"{error.name} is not installed; " + (f"to have it: {command}" if command else "mend it with: pip install nvila-edge")
        return Finding(check.name, OPTIONAL if command else FAIL, text)
    except (ImportError, OSError, ValueError, RuntimeError) as error:  # a package that is there may still miss a system library
        return Finding(check.name, FAIL, str(error))


def _gpu() -> str:
    found = [f"{gpu.name}, {gpu.memory_bytes / 2**30:.0f} GiB, {gpu.architecture}" for gpu in gpus()]
    return "; ".join(found) or "none (none is needed)"


def _machine() -> str:
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def _package(name: str) -> str:
    if name in _SLOW:
        return version(name)
    return str(getattr(importlib.import_module(name), "__version__", "")) or version(name)


def _providers() -> str:
    import onnxruntime

    from nvila_edge.engines.backends.onnxruntime import PROVIDERS

    here = onnxruntime.get_available_providers()
    return f"{', '.join(here)}; --backend may be {', '.join(name for name, provider in PROVIDERS.items() if provider in here)}"


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

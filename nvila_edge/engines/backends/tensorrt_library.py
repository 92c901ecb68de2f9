"""One door to three libraries: TensorRT 10 (Jetson), TensorRT 11 (servers) and TensorRT-RTX (laptops and workstations).

All build strongly typed networks. TensorRT-RTX also builds ahead of time, for the GPU of another machine and on one without any.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

TARGETS = ("tensorrt", "tensorrt-rtx")
_MODULES = {"tensorrt": ("tensorrt",), "tensorrt-rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
_PACKAGES = {
    "tensorrt": "pip install tensorrt (on a Jetson: the one that JetPack brings)",
    "tensorrt-rtx": 'pip install "nvila-edge[tensorrt]"',
}


class TensorRTError(RuntimeError):
    """The library is missing, or refuses what it was given; the message tells what it said."""


@dataclass(frozen=True)
class Library:
    """An imported library; `target` is one of TARGETS."""

    target: str
    module: Any

    @property
    def version(self) -> str:
        """As the library says it."""
        return str(self.module.__version__)

    @property
    def architectures(self) -> tuple[str, ...]:
        """GPU architectures that can be built for on any machine; none for TensorRT, which builds for the GPU that it runs on."""
        names = dir(getattr(self.module, "ComputeCapability", object()))
        return tuple(name.lower() for name in sorted(names, key=lambda n: (len(n), n)) if name.startswith("SM"))

    def logger(self) -> Any:
        """A logger that prints nothing and keeps the errors in `said`, for the exception that follows."""
        module = self.module

        class Collected(module.ILogger):  # type: ignore[name-defined]
            def __init__(self) -> None:
                module.ILogger.__init__(self)
                self.said: list[str] = []

            def log(self, severity: Any, msg: str) -> None:
                if severity in (module.Logger.INTERNAL_ERROR, module.Logger.ERROR):
                    self.said.append(msg)

        return Collected()

    def network(self, builder: Any) -> Any:
        """A strongly typed network: the types are those of the graph. TensorRT 11 knows no other, 10 must be asked."""
        flag = getattr(self.module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
        return builder.create_network(0 if flag is None else 1 << int(flag))


def library(target: str) -> Library:
    """The library for one of TARGETS. Raises ValueError for another, TensorRTError naming what to install when it is not there."""
    if target not in TARGETS:
        raise ValueError(f"target {target!r} is unknown; allowed: {', '.join(TARGETS)}")
    for name in _MODULES[target]:
        try:
            return Library(target, importlib.import_module(name))
        except ImportError:
            continue
    raise TensorRTError(f"{target} is not installed; {_PACKAGES[target]}")

"""`nvila-edge serve`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from nvila_edge.shipped import BUNDLE


@dataclass(frozen=True)
class Serve:
    """Serve a bundle to agents until Ctrl-C."""

    example: ClassVar[str] = "nvila-edge serve --bind tcp://127.0.0.1:5555"
    bundle: Path = BUNDLE
    """Bundle folder; the built-in one when left out."""
    bind: str = "tcp://127.0.0.1:5555"
    """Loopback address to listen on; port * picks a free one."""
    backend: Literal["onnxruntime", "tensorrt", "torch"] = "onnxruntime"
    """What runs the engines; tensorrt needs those that `nvila-edge export --target tensorrt-rtx` built."""

    def run(self) -> None:
        from nvila_edge.serving.main import serve

        def announce(line: dict[str, Any]) -> None:
            print(f"serving {self.bundle} on {line['address']}, profile {line['profile']}; Ctrl-C ends it", flush=True)

        serve(self.bundle, self.bind, announce=announce, backend=self.backend)

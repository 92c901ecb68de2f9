"""`nvila-edge bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import Positional


@dataclass(frozen=True)
class Bench:
    """Latency and memory of a bundle on this machine: encoding a frame, prefilling, decoding, deciding; p50, p95 and p99."""

    example: ClassVar[str] = "nvila-edge bench nvila_edge/assets/bundle --vs nvila_edge/assets/checkpoint"
    bundle: Positional[Path]
    """Bundle folder."""
    vs: Path | None = None
    """A second bundle, or a checkpoint (unquantised, in torch), measured in turn with the first."""
    decisions: int = 200
    """How many decisions are timed, in episodes of 40."""
    threads: int = 1
    """Threads of the runtime."""
    backend: Literal["onnxruntime", "tensorrt", "torch"] = "onnxruntime"
    """What runs bundles."""
    out: Path | None = None
    """Folder for bench.json and bench.html."""

    def run(self) -> None:
        from export.bench import bench, page, table

        if self.out is not None and self.out.is_file():
            raise ValueError(f"--out {self.out} is a file; give a folder")
        result = bench([self.bundle, *([self.vs] if self.vs else [])], self.decisions, self.threads, self.backend)
        print(table(result))
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "bench.json").write_text(result.to_json() + "\n")
            (self.out / "bench.html").write_text(page(result))

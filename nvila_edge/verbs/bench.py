"""`nvila-edge bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tyro.conf import Positional

from nvila_edge.options.backend import BackendName


@dataclass(frozen=True)
class Bench:
    """Latency and memory of a bundle on this machine: encoding a frame, prefilling, decoding, deciding; p50, p95 and p99."""

    example: ClassVar[str] = "nvila-edge bench nvila_edge/assets/bundle --vs nvila_edge/assets/checkpoint"
    bundle: Positional[Path]
    """Bundle folder."""
    vs: tuple[str, ...] = ()
    """Others, measured in turn with the first: bundles, checkpoints (unquantised, in torch), bf16:CKPT, transformers:CKPT (`generate` on the same weights),
    qwen2-vl:CKPT (a random Qwen2-VL of that size through transformers: weaker than the vLLM W4A16 of the NVILA paper's Figure 5)."""
    decisions: int = 200
    """How many decisions are timed, in episodes of 40."""
    threads: int = 1
    """Threads of the runtime."""
    backend: BackendName = "onnxruntime"
    """What runs bundles."""
    out: Path | None = None
    """Folder for bench.json and bench.html."""

    def run(self) -> None:
        from export.bench import bench, page, table

        if self.out is not None and self.out.is_file():
            raise ValueError(f"--out {self.out} is a file; give a folder")
        result = bench([str(self.bundle), *self.vs], self.decisions, self.threads, self.backend)
        print(table(result))
        if self.out is not None:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / "bench.json").write_text(result.to_json() + "\n")
            (self.out / "bench.html").write_text(page(result))

"""`nvila-edge export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from tyro.conf import Positional

from nvila_edge.verbs.recorded import calibration


@dataclass(frozen=True)
class Export:
    """Make a bundle from a checkpoint: ONNX graphs, quantised weights, tokenizer, manifest."""

    example: ClassVar[str] = "nvila-edge export runs/train/builtin/checkpoint runs/bundle"
    checkpoint: Positional[str]
    """Checkpoint: a folder in any published layout or a hub id; or a bundle, to which engines are added."""
    out: Positional[Path]
    """Bundle folder to make (for a bundle: itself, or where a copy goes)."""
    vision: Literal["w8a8", "fp16", "fp32"] = "w8a8"
    """How the vision tower is stored and run."""
    language: Literal["w4a16", "fp16", "fp32"] = "w4a16"
    """How the language model is stored and run."""
    target: Literal["onnx", "tensorrt", "tensorrt-rtx"] = "onnx"
    """What runs it: ONNX Runtime alone, or engines for a GPU besides."""
    arch: str | None = None
    """GPU architectures to build for, as sm86,sm89 (TensorRT-RTX, on any machine); left out: this machine's GPU."""
    calibration: str = "builtin"
    """"builtin": the expert's decisions in houses of train; or a folder of what agents recorded (--record), .npz recordings and pictures."""

    agent: str = "ours"
    """The agent that the model is meant for, which eval and agent choose by themselves: ours, navila, navila-bench, navid .."""

    def run(self) -> None:
        from export.bundle import copied_bundle, is_bundle
        from export.exporter import export_bundle
        from export.source import Checkpoint
        from export.tensorrt import build_engines, check_target
        from export.verify import Accuracy
        from nvila_edge.progress import Estimate

        estimate = Estimate()

        def progress(what: str, done: int, total: int) -> None:
            print(estimate.line(what, done, total), flush=True)

        archs = self.arch.split(",") if self.arch else [None]
        if self.target != "onnx":
            check_target(self.target, archs)
        elif self.arch:
            raise ValueError(f"--arch {self.arch} needs --target tensorrt-rtx; ONNX graphs are the same for every machine")
        if is_bundle(self.checkpoint):
            if (self.vision, self.language, self.calibration, self.agent) != ("w8a8", "w4a16", "builtin", "ours"):
                raise ValueError(
                    f"{self.checkpoint} is a bundle, quantised already; --vision, --language, --calibration and --agent need its checkpoint"
                )
            copied_bundle(Path(self.checkpoint), self.out)
        else:
            Checkpoint(self.checkpoint)  # what is wrong with it is said before houses are rendered for minutes
            seen = calibration(self.calibration, "train", 12, seed=1)
            judged_on = calibration("builtin", "val_unseen", 4, seed=2)
            manifest = export_bundle(
                self.checkpoint, self.out, seen, self.vision, self.language, judged_on.recordings, progress, self.agent
            )
            print(
                "\n".join(f"beware: {failure}" for failure in Accuracy(**manifest.about["accuracy"]).failures())
                or "accuracy: within its gates"
            )
        for arch in archs if self.target != "onnx" else ():
            build_engines(self.out, self.target, arch, progress)
        size = sum(file.stat().st_size for file in self.out.rglob("*") if file.is_file())
        print(f"{self.out}: {size / 1e6:.1f} MB")

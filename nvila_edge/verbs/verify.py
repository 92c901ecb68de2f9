"""`nvila-edge verify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tyro.conf import Positional

from nvila_edge.options.backend import BackendName
from nvila_edge.verbs.recorded import calibration


@dataclass(frozen=True)
class Verify:
    """Compare a bundle with the checkpoint that it was made from, on recorded decisions; fails when it is too far off."""

    example: ClassVar[str] = "nvila-edge verify runs/bundle --against runs/train/builtin/checkpoint"
    bundle: Positional[Path]
    """Bundle folder."""
    against: Path
    """Checkpoint folder (published layout), run unquantised in torch."""
    recordings: str = "builtin"
    """"builtin": the expert's decisions in houses of val_unseen; or a folder as for `nvila-edge export --calibration`."""
    backend: BackendName = "onnxruntime"
    """What runs the bundle."""

    def run(self) -> None:
        from export.verify import verify_bundle

        seen = calibration(self.recordings, "val_unseen", 10, seed=2)
        accuracy = verify_bundle(self.bundle, self.against, seen.recordings, self.backend)
        print("\n".join(f"{key:<22} {value}" for key, value in accuracy.to_json().items()))
        failures = accuracy.failures()
        print("\n".join(f"FAIL: {failure}" for failure in failures) or f"the bundle answers as the checkpoint does ({seen.name})")
        if failures:
            raise SystemExit(1)

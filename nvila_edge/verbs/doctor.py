"""`nvila-edge doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tyro.conf import Positional

from nvila_edge.shipped import BUNDLE


@dataclass(frozen=True)
class Doctor:
    """Check this machine and installation, or describe a checkpoint. Fails for what is broken, not for parts that are not installed."""

    example: ClassVar[str] = "nvila-edge doctor"
    checkpoint: Positional[str | None] = None
    """Checkpoint folder, or hub id of one that is here already: says what it is, and what it needs; the machine when left out."""

    def run(self) -> None:
        if self.checkpoint is not None:
            from nvila_edge.describe import describe
            from nvila_edge.gpu import gpus

            description = describe(self.checkpoint)
            return print("\n".join([str(description), *description.fits(gpus())]))
        from nvila_edge.doctor import FAIL, Check, checks

        def render() -> str:
            from sim.renderer import Renderer

            Renderer(32, 32).close()
            return "off-screen rendering works"

        found = checks(BUNDLE, [Check("OpenGL over EGL (sim)", render)])
        for finding in found:
            print(f"{finding.state:<8}  {finding.name}: {finding.text}")
        if any(finding.state == FAIL for finding in found):
            raise SystemExit(1)

"""`nvila-edge doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from tyro.conf import Positional

from nvila_edge.shipped import BUNDLE

if TYPE_CHECKING:
    from nvila_edge.doctor import Finding


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
        from nvila_edge.doctor import Check, checks

        def render() -> str:
            from sim.renderer import Renderer

            Renderer(32, 32).close()
            return "off-screen rendering works"

        _show(checks(BUNDLE, [Check("OpenGL over EGL (sim)", render)]))


@dataclass(frozen=True)
class DoctorHabitat:
    """Check what evaluations in Habitat need: habitat_sim, an EGL device, scenes, which way they are up, navmeshes."""

    example: ClassVar[str] = "nvila-edge doctor habitat --scenes data/scene_datasets"
    dataset: Path | None = None
    """Folder of episodes: checks the scenes that its split needs."""
    split: str = "val_unseen"
    """Of the dataset."""
    scenes: Path | None = None
    """Folder that holds mp3d/ or houses/; the dataset's own and data/scene_datasets when left out."""

    def run(self) -> None:
        from nvila_edge.doctor import run_checks
        from sim.habitat_doctor import habitat_checks

        _show(run_checks(habitat_checks(self.dataset, self.split, self.scenes)))


def _show(found: list[Finding]) -> None:
    """Prints the findings; ends with status 1 when something is broken."""
    from nvila_edge.doctor import FAIL

    for finding in found:
        print(f"{finding.state:<8}  {finding.name}: {finding.text}")
    if any(finding.state == FAIL for finding in found):
        raise SystemExit(1)

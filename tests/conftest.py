"""Shared fixtures. One thread per maths library: timings and last bits must not depend on the machine's load."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Before any test imports NumPy or torch.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

REPOSITORY = Path(__file__).resolve().parent.parent
GOLDEN = REPOSITORY.parent / "shared" / "golden"  # what real Habitat and NVILA answered; beside the checkout, not in it


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of recorded answers (`habitat/`, `nvila/`); skips where the checkout has none beside it."""
    if not GOLDEN.is_dir():
        pytest.skip(f"no recorded answers at {GOLDEN}: they lie beside the project's own checkout only")
    return GOLDEN

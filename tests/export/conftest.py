"""A tiny random checkpoint in the published layout, and frames to show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.tiny import save_tiny_checkpoint, tiny_frames


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="session")
def frames() -> np.ndarray:
    return tiny_frames(12)

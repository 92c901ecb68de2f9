"""What an agent needs: pictures, a robot's process, a server; made once for each file that asks for them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from nvila_edge.serving.process import ServerProcess, start_process
from tests.nvila_edge.pixel_engine import start_pixel_server


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    for number in range(60):
        rgb = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:03}.png"), rgb)
    return folder


@pytest.fixture(scope="module")
def robot() -> Iterator[ServerProcess]:
    with start_process([sys.executable, "-m", "agents.robots.serve", "--bind", "tcp://127.0.0.1:*", "--ends-with-stdin"], 30) as server:
        yield server


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with start_pixel_server() as server:
        yield server

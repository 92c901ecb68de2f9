"""`nvila-edge agent`, without the command line: a dry run over a folder of images against a real server."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from agents.events import Decided, Event
from agents.instructions import Lines
from agents.main import run_agent
from nvila_edge.serving.errors import LinkDown
from tests.nvila_edge.pixel_engine import start_pixel_server


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for number in range(12):
        rgb = np.random.default_rng(number).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f"{number:03}.png"), rgb)
    return tmp_path


def test_a_dry_run_over_images_decides_until_they_are_over(images: Path) -> None:
    events: list[Event] = []
    with start_pixel_server() as server:
        ended = run_agent(server.address, images, "walk on", on_event=events.append)
        again: list[Event] = []
        run_agent(server.address, images, "walk on", on_event=again.append)
    assert ended == events[-1] and (ended.reason, ended.fault, ended.primitives) == ("over", False, 12)
    actions = [[event.decision.action for event in run if isinstance(event, Decided)] for run in (events, again)]
    assert actions[0] == actions[1] and len(actions[0]) == ended.decisions


def test_no_server_is_an_error_that_says_how_to_start_one(images: Path) -> None:
    with pytest.raises(LinkDown, match="no server answers at tcp://127.0.0.1:9 within 0.1 s.*nvila-edge serve"):
        run_agent("tcp://127.0.0.1:9", images, "walk on", on_event=lambda _: None, connect_s=0.1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"instruction": ""}, "instruction is empty"),
        ({"robot": "tank"}, "known: dry-run"),
        ({"camera": Path("nowhere")}, "a folder of images"),
    ],
)
def test_what_cannot_work_is_refused_before_connecting(images: Path, change: dict, words: str) -> None:
    arguments = {"server": "tcp://127.0.0.1:9", "camera": images, "instruction": "go", "on_event": lambda _: None} | change
    with pytest.raises(ValueError, match=words):
        run_agent(**arguments)


def test_lines_that_are_no_text_halt_the_robot(caplog: pytest.LogCaptureFixture) -> None:
    came = threading.Event()
    lines = Lines(io.TextIOWrapper(io.BytesIO(b"go to the t\xfcr\n"), encoding="utf-8"), came.set)
    assert lines.take() is None and came.wait(2) and "no more instructions can be read" in caplog.text


def test_a_server_without_a_bundle_says_so_and_ends_with_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "nvila_edge.serving", "--bundle", str(tmp_path), "--bind", "tcp://127.0.0.1:*"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.startswith("error: ") and str(tmp_path) in done.stderr

"""A real bundle through a real server process: the same answers to the bit, also after the server was killed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from export.calibration import Calibration
from export.exporter import export_bundle
from nvila_edge.engines import load_bundle
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode
from nvila_edge.serving.errors import RemoteError, ServerStartError
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from nvila_edge.serving.process import ServerProcess, start_server
from tests.tiny import save_tiny_checkpoint, tiny_frames

COUNT = 14  # more than the ring's eight blocks


@pytest.fixture(scope="module", params=["stream", "navila"])
def profile(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def bundle(profile: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(profile)
    export_bundle(save_tiny_checkpoint(folder / "checkpoint", profile), folder / "bundle", Calibration([]), "fp32", "fp32")
    return folder / "bundle"


def window(profile: str, newest: int) -> tuple[int, ...]:
    return (newest,) if profile == "stream" else tuple(range(max(0, newest - 7), newest + 1))


def in_process(bundle: Path, profile: str, frames: np.ndarray) -> list[Decision]:
    engine = load_bundle(bundle)
    session = engine.session("go to the bed")
    tokens = np.concatenate([engine.encode(decode_jpeg(encode_jpeg(frame))[None]) for frame in frames])
    return [session.decide(tokens[list(window(profile, newest))]) for newest in range(len(frames))]


def test_answers_are_those_of_the_engine_in_process_also_after_a_kill(bundle: Path, profile: str) -> None:
    frames = tiny_frames(COUNT)
    expected = in_process(bundle, profile, frames)
    servers: list[ServerProcess] = [start_server(bundle)]
    try:
        with Client(servers[0].address) as client:
            assert client.wait_alive(5) and client.hello(5).profile == profile
            episode = RemoteEpisode(client, "go to the bed", profile)
            for newest in range(COUNT):
                if newest == COUNT - 2:
                    servers[-1].kill()
                    servers.append(start_server(bundle, client.address))
                    assert client.wait_alive(5)
                episode.send(newest, frames[newest])
                decision = episode.decide(window(profile, newest), 10.0)
                assert decision.candidates == expected[newest].candidates
                assert (decision.action, decision.text) == (expected[newest].action, expected[newest].text)
                assert decision.action is not None
                episode.begun(newest, decision.action)
            other = RemoteEpisode(client, "look at <image>", profile)
            other.send(0, frames[0])
            with pytest.raises(RemoteError, match="stand for pictures"):
                other.decide((0,), 10.0)
    finally:
        for server in servers:
            server.stop()


def test_a_spoilt_bundle_is_named_before_anything_is_served(bundle: Path, tmp_path: Path) -> None:
    for source in bundle.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    with (tmp_path / "vision.onnx").open("r+b") as file:
        file.seek(200)
        file.write(b"spoilt")
    with pytest.raises(ServerStartError, match="vision.onnx"):
        start_server(tmp_path)

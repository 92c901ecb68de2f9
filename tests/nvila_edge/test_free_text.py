"""Free text: from the engine, and through a real server process, read by the client."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from agents.policy import RemotePolicy
from agents.protocols import Frame
from nvila_edge.engines import BundleError, load_bundle
from nvila_edge.navigation.actions import Forward
from nvila_edge.navigation.agent_profiles import AGENTS
from nvila_edge.navigation.decision import Decision
from nvila_edge.serving import wire
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode
from nvila_edge.serving.errors import RemoteError, WireError
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from nvila_edge.serving.process import start_server
from tests.nvila_edge.pixel_engine import start_pixel_server
from tests.parrot import parrot, window_bundle
from tests.tiny import TEXTS, tiny_frames

SAYS = "The next action is move forward 100 cm."


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return window_bundle(tmp_path_factory.mktemp("window"))


@pytest.fixture(scope="module")
def saying(window: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return parrot(window, tmp_path_factory.mktemp("parrot") / "bundle", SAYS, agent="navila")


def test_a_window_session_says_what_generate_says_with_black_frames_in_front(window: Path) -> None:
    engine, frames = load_bundle(window), tiny_frames(3)
    seen = [*[np.zeros_like(frames[0])] * 5, *frames]
    said = engine.session(TEXTS[0]).say(engine.encode(frames), 12)
    assert said.text == engine.generate(engine.profile.user_text(TEXTS[0]), images=seen, max_new_tokens=12) != ""
    assert said.action is None and said.candidates == () and 0 < said.probability < 1


def test_saying_leaves_the_session_as_it_was_and_ends_at_the_limit_of_tokens(window: Path, saying: Path) -> None:
    engine = load_bundle(window)
    tokens, session = engine.encode(tiny_frames(2)), engine.session(TEXTS[1])
    before = session.decide(tokens).candidates
    session.say(tokens, 3)
    assert session.decide(tokens).candidates == before
    parrot_engine = load_bundle(saying)
    tokens, session = parrot_engine.encode(tiny_frames(2)), parrot_engine.session("go")
    assert [session.say(tokens, most).text for most in (1, 4, 32)] == ["The", "The next action is", SAYS]
    assert session.say(tokens, 32).probability > 0.99
    with pytest.raises(ValueError, match="at least 1"):
        session.say(tokens, 0)


def test_the_stream_profile_names_the_agent_that_can_ask_it() -> None:
    with start_pixel_server("stream") as server, Client(server.address) as client:
        assert client.wait_alive(5)
        episode = RemoteEpisode(client, "go", "stream")
        episode.send(0, np.zeros((8, 8, 3), np.uint8))
        with pytest.raises(RemoteError, match=r"free_text.*the agent 'ours'"):
            episode.say((0,), 5.0, 32)


def test_the_prompt_and_its_template_are_the_published_ones(golden: Path) -> None:
    case = json.loads((golden / "nvila" / "navila" / "case.json").read_text())
    engine = load_bundle(golden / "nvila" / "navila" / "ckpt", backend="torch")
    asked = engine.profile.user_text("Walk past the sofa.")
    assert asked == (
        "Imagine you are a robot programmed for navigation tasks. You have been given a video of historical observations "
        "<image>\n<image>\n<image>\n<image>\n<image>\n<image>\n<image>\n, and current observation <image>\n. Your assigned task is: "
        '"Walk past the sofa." Analyze this series of images to decide your next action, which could be turning left or right by a specific '
        "degree, moving forward a certain distance, or stop if the task is completed."
    )
    assert engine.tokenizer.template.text(asked) == case["prompt"].replace(case["question"], asked)
    frames = tiny_frames(8)
    said = engine.session("Walk past the sofa.").say(engine.encode(frames), 8)
    assert said.text == engine.generate(asked, images=list(frames), max_new_tokens=8)


@pytest.mark.parametrize(("agent", "spaces"), [("navila", 'x "Go \n to  it ." y'), ("ours-text", 'x "Go to it ." y')])
def test_a_raw_instruction_stays_as_the_dataset_has_it(agent: str, spaces: str) -> None:
    """Through a server that says the instruction back."""
    with start_pixel_server("navila") as server, Client(server.address) as client:
        policy = RemotePolicy(client, 10.0, AGENTS[agent])
        assert client.wait_alive(5)
        policy.reset('say x "Go \n to  it ." y', "e")
        policy.observe(Frame(0, np.zeros((8, 8, 3), np.uint8), 0.0))
        assert policy.decide().text == spaces


def test_the_server_answers_with_text_and_the_client_reads_it(saying: Path) -> None:
    frames, engine = tiny_frames(4), load_bundle(saying)
    tokens = engine.encode(np.stack([decode_jpeg(encode_jpeg(frame)) for frame in frames]))
    guided = engine.session("go to the bed").decide(tokens)
    with start_server(saying) as server, Client(server.address) as client:
        assert client.wait_alive(5)
        info = client.hello(5)
        assert (info.profile, info.agent) == ("navila", "navila")
        episode = RemoteEpisode(client, "go to the bed", "navila")
        for frame_id, frame in enumerate(frames):
            episode.send(frame_id, frame)
        assert episode.decide((0, 1, 2, 3), 10.0).candidates == guided.candidates
        said = episode.say((0, 1, 2, 3), 10.0, 32)
        assert (said.action, said.text, said.candidates) == (None, SAYS, ())
        assert {"language", "queue", "encode", "decide"} <= said.timing_ms.keys()
        assert episode.say((1, 3), 10.0, 2).text == "The next"
        assert episode.decide((0, 1, 2, 3), 10.0).candidates == guided.candidates
        policy = RemotePolicy(client, 10.0, AGENTS["navila"])
        policy.reset("go to the bed", "e")
        policy.observe(Frame(0, frames[0], 0.0))
        assert policy.decide().action == Forward(100)
        with pytest.raises(RemoteError, match="max_new_tokens is 257; it must be an integer from 1 to 256"):
            episode.say((0,), 5.0, 257)


def test_a_say_request_survives_the_wire_and_an_older_server_would_refuse_it_by_name() -> None:
    packed = wire.pack("say", 3, "s", instruction="go", n=1, frames=(4, 5), deadline_ms=70, max_new_tokens=32)
    assert wire.parse_request([packed]) == wire.Decide(3, "s", "go", 1, (4, 5), (), 70, False, 32)
    with pytest.raises(WireError, match="max_new_tokens is None"):
        wire.parse_request([wire.pack("say", 3, "s", instruction="go", n=1, frames=(4,), deadline_ms=70)])
    with pytest.raises(WireError, match="unknown type 'sya'"):
        wire.parse_request([wire.pack("sya", 3, "s")])
    back = wire.parse_decision(wire.header_of([wire.pack("decision", 3, "s", **wire.decision_fields(Decision(None, "hm", 0.25)))]))
    assert back == Decision(None, "hm", 0.25) and back.rejected


def test_a_manifest_names_an_agent_that_exists_and_fits(saying: Path, tmp_path: Path) -> None:
    for source in saying.iterdir():
        (tmp_path / source.name).write_bytes(source.read_bytes())
    content = json.loads((tmp_path / "manifest.json").read_text())
    for changed, words in (
        (content | {"agent": "navilla"}, "did you mean 'navila'"),
        (content | {"spec": content["spec"] | {"profile": "stream"}}, "asks with the 'navila' prompt, this model was made for 'stream'"),
    ):
        (tmp_path / "manifest.json").write_text(json.dumps(changed))
        with pytest.raises(BundleError, match=words):
            load_bundle(tmp_path)


def test_saying_needs_no_torch(saying: Path) -> None:
    script = (
        "import sys, numpy, nvila_edge.engines, agents.profiles\n"
        f"engine = nvila_edge.engines.load_bundle({str(saying)!r})\n"
        "print(engine.session('go').say(engine.encode(numpy.zeros((2, 32, 48, 3), numpy.uint8)), 32).text)\n"
        "assert not {'torch', 'transformers', 'onnx'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[2], timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, SAYS), done.stderr

"""OpenAI's chat completions over real HTTP from a real server process: the same words as the engine in process, while robots come first."""

from __future__ import annotations

import base64
import io
import json
import struct
import threading
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from nvila_edge.chat import open_video
from nvila_edge.engines import Engine, load_bundle
from nvila_edge.model.tokens import TEMPLATES
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode
from nvila_edge.serving.http import Call
from nvila_edge.serving.metrics import Metrics
from nvila_edge.serving.openai import Speech, parse_chat
from nvila_edge.serving.parts import Pictures
from nvila_edge.serving.process import ServerProcess, start_server
from nvila_edge.serving.routes import MAX_CHATS, ChatRoutes
from nvila_edge.serving.server import Server
from nvila_edge.serving.talk import Question, Talker
from tests.parrot import parrot, window_bundle
from tests.tiny import tiny_frames

SAYS = "Turn the corner and stop by a bed."
Json = dict[str, Any]
SPEECH = Speech("a-parrot", TEMPLATES["qwen2"], newline=False, frames=8)


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return window_bundle(tmp_path_factory.mktemp("window"))


@pytest.fixture(scope="module")
def engine(window: Path) -> Engine:
    return load_bundle(window)


@pytest.fixture(scope="module")
def random_server(window: Path) -> Iterator[ServerProcess]:
    """Of random weights: what it says depends on everything that it is shown."""
    with start_server(window, http=0) as server:
        yield server


@pytest.fixture(scope="module")
def parrot_server(window: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with start_server(parrot(window, tmp_path_factory.mktemp("parrot") / "a-parrot", SAYS), http=0) as server:
        yield server


def url(server: ServerProcess, path: str = "/v1/chat/completions") -> str:
    return server.info["http"] + path


def fetch(address: str, body: Json | bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(address, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def ask(server: ServerProcess, content: Any, **more: Any) -> Json:
    messages = content if isinstance(content, list) and "role" in content[0] else [{"role": "user", "content": content}]
    status, body = fetch(url(server), {"messages": messages, "max_tokens": 8, **more})
    assert status == 200, body
    return json.loads(body)


def text_of(completion: Json) -> str:
    return completion["choices"][0]["message"]["content"]


def png(frame: np.ndarray) -> str:
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def huge_png() -> str:
    """A few bytes that say they are 30,000 x 30,000 pixels."""
    stream = io.BytesIO()
    Image.new("1", (1, 1)).save(stream, "PNG")
    head = bytearray(stream.getvalue())
    head[16:24] = struct.pack(">II", 30_000, 30_000)
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    return f"data:image/png;base64,{base64.b64encode(bytes(head)).decode()}"


def image(frame: np.ndarray) -> Json:
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{png(frame)}", "detail": "low"}}


def text(words: str) -> Json:
    return {"type": "text", "text": words}


def test_a_question_about_images_is_answered_as_the_engine_answers_it(random_server: ServerProcess, engine: Engine) -> None:
    one, two = tiny_frames(2)
    expected = engine.generate("<image>What is it?", [one], max_new_tokens=8)
    assert text_of(ask(random_server, [image(one), text("What is it?")])) == expected != ""
    mixed = engine.generate("First <image>then <image>say.", [one, two], max_new_tokens=8)
    assert text_of(ask(random_server, [text("First "), image(one), text("then "), image(two), text("say.")])) == mixed
    assert mixed != engine.generate("First <image>then <image>say.", [two, one], max_new_tokens=8)


def test_a_video_comes_as_a_list_of_frames_or_as_a_file(random_server: ServerProcess, engine: Engine, tmp_path: Path) -> None:
    frames = tiny_frames(4)
    expected = engine.generate("<vila/video>What happens?", video=list(frames), max_new_tokens=8)
    listed = {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + ",".join(map(png, frames))}}
    assert text_of(ask(random_server, [listed, text("What happens?")])) == expected
    parts = {"type": "video", "video": [f"data:image/png;base64,{png(frame)}" for frame in frames]}
    assert text_of(ask(random_server, [parts, text("What happens?")])) == expected
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 96))
    for frame in frames:
        writer.write(frame[..., ::-1])
    writer.release()
    uri = "data:video/x-msvideo;base64," + base64.b64encode((tmp_path / "a.avi").read_bytes()).decode()
    sampled = open_video(tmp_path / "a.avi", engine.spec.frames, 0.0)
    from_file = engine.generate("<vila/video>What happens?", video=sampled, max_new_tokens=8)
    assert text_of(ask(random_server, [{"type": "video_url", "video_url": {"url": uri}}, text("What happens?")])) == from_file


def test_turns_and_a_system_prompt_reach_the_model_in_its_own_template(random_server: ServerProcess, engine: Engine) -> None:
    turns = [{"role": "user", "content": "Go on."}, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Where?"}]
    written = "Go on.<|im_end|>\n<|im_start|>assistant\nYes.<|im_end|>\n<|im_start|>user\nWhere?"
    assert text_of(ask(random_server, turns)) == engine.generate(written, max_new_tokens=8)
    with_system = ask(random_server, [{"role": "system", "content": "Walk past the red sofa."}, *turns])
    prompt = engine.tokenizer.template.text(written, system="Walk past the red sofa.")
    assert with_system["usage"]["prompt_tokens"] == len(engine.tokenizer.encode(prompt))
    assert prompt.startswith("<|im_start|>system\nWalk past the red sofa.<|im_end|>\n<|im_start|>user\nGo on.<|im_end|>")


def test_marks_that_people_type_stand_for_nothing(random_server: ServerProcess) -> None:
    asked = ask(random_server, "go <image> to<|im_end|> the bed <vila/video>")
    assert asked["usage"]["prompt_tokens"] < 60, "no picture is in it, and the turn does not end early"


def test_marks_that_neighbouring_parts_make_up_stand_for_nothing_either() -> None:
    parts = [text(words) for words in ("a <ima", "ge> b <|im_", "end|> c")]
    request = parse_chat({"messages": [{"role": "user", "content": parts}]}, SPEECH)
    assert request.question.text.split() == ["a", "b", "c"] and request.question.images == () and request.removed
    apart = [text("a <ima"), image(np.zeros((8, 8, 3), np.uint8)), text("ge>")]
    request = parse_chat({"messages": [{"role": "user", "content": apart}]}, SPEECH)
    assert request.question.text == "a <ima<image>ge>" and len(request.question.images) == 1 and not request.removed


@pytest.mark.parametrize("stream", [False, True])
def test_a_warning_tells_of_marks_that_were_removed(parrot_server: ServerProcess, stream: bool) -> None:
    for said, warned in (("what is an <image> here", True), ("is 3 < 4 here", False)):
        body = json.dumps({"messages": [{"role": "user", "content": said}], "max_tokens": 2, "stream": stream}).encode()
        asked = urllib.request.Request(url(parrot_server), body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(asked, timeout=30) as response:
            assert ("were removed" in response.headers.get("X-Nvila-Edge-Warning", "")) == warned
            assert response.headers["X-Nvila-Edge-Sampling"] == "greedy"


def test_usage_finish_and_stop(parrot_server: ServerProcess) -> None:
    whole = ask(parrot_server, "hello", max_tokens=32, temperature=0, seed=3, model="a-parrot")
    assert text_of(whole) == SAYS and whole["choices"][0]["finish_reason"] == "stop" and whole["model"] == "a-parrot"
    assert whole["usage"]["completion_tokens"] == len(SAYS.split()) + 1, "the end of turn counts: it was decoded"
    cut = ask(parrot_server, "hello", max_tokens=3)
    assert (text_of(cut), cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("Turn the corner", "length", 3)
    stopped = ask(parrot_server, "hello", max_tokens=32, stop=[" stop", "never"])
    assert (text_of(stopped), stopped["choices"][0]["finish_reason"]) == ("Turn the corner and", "stop")


@pytest.mark.parametrize(("stop", "said"), [(None, SAYS), ("corner and st", "Turn the "), ("never", SAYS)])
def test_a_stream_says_the_same_in_pieces(parrot_server: ServerProcess, stop: str | None, said: str) -> None:
    body = {"messages": [{"role": "user", "content": "hello"}], "stream": True, "stream_options": {"include_usage": True}, "stop": stop}
    status, events = fetch(url(parrot_server), body)
    assert status == 200 and events.endswith("data: [DONE]\n\n")
    *chunks, last = [json.loads(event.removeprefix("data: ")) for event in events.strip().split("\n\n")[:-1]]
    pieces = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
    assert "".join(filter(None, pieces)) == said and len([piece for piece in pieces if piece]) >= min(5, len(said.split()) - 1)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop" and last["choices"] == []
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"} and len({chunk["id"] for chunk in chunks}) == 1


USER = {"role": "user", "content": "hello"}
REFUSED = [
    ({"messages": []}, 400, "messages"),
    ({"messages": [USER, {"role": "assistant", "content": "Yes"}]}, 400, "the last message"),
    ({"messages": [{"role": "tool", "content": "x"}, USER]}, 400, "'tool'"),
    ({"messages": [{"role": "user", "content": "  "}]}, 400, "is empty"),
    ({"messages": [USER], "model": "gpt-4o"}, 404, "'a-parrot'"),
    ({"messages": [USER], "n": 2}, 400, "n is 2"),
    ({"messages": [USER], "tools": [{}]}, 400, "tools"),
    ({"messages": [USER], "max_tokens": 0}, 400, "max_tokens is 0"),
    ({"messages": [USER], "stop": ["a"] * 5}, 400, "up to four"),
    ({"messages": [USER], "stream": "yes"}, 400, "expected bool"),
    ({"messages": [{"role": "user", "content": "walk " * 9000}]}, 400, "at most 4096 are allowed"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://10.0.0.1/a.png"}}]}]}, 400, "fetches nothing"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]}, 400, "no picture"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,*"}}]}]}, 400, "not base64"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": huge_png()}}]}]}, 400, "no picture"),
    ({"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}]}]}, 400, "no frame"),
    ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, 400, "input_audio"),
    (b"{", 400, "not JSON"),
    (b"[" * 100_000, 400, "not JSON"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "said"), REFUSED)
def test_what_cannot_be_answered_is_refused_as_openai_refuses(parrot_server: ServerProcess, body: Any, status: int, said: str) -> None:
    got, answer = fetch(url(parrot_server), body)
    error = json.loads(answer)["error"]
    assert got == status and said in error["message"] and error["type"] == "invalid_request_error"


def test_pictures_are_bounded_in_number_before_they_are_decoded(parrot_server: ServerProcess) -> None:
    content = [image(np.zeros((8, 8, 3), np.uint8))] * 65
    status, answer = fetch(url(parrot_server), {"messages": [{"role": "user", "content": content}]})
    assert status == 400 and "at most 64" in answer


def test_only_pictures_that_decode_within_bounds_are_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    postscript = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n{} loop\n%%EOF\n"
    with pytest.raises(ValueError, match="no picture that can be read"):
        Pictures(8).image("data:image/jpeg;base64," + base64.b64encode(postscript).decode())
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 5, (640, 480))
    for _ in range(4):
        writer.write(np.zeros((480, 640, 3), np.uint8))
    writer.release()
    monkeypatch.setattr("nvila_edge.serving.parts.MAX_PIXELS", 2_000_000)
    with pytest.raises(ValueError, match="8 frames of the video would be 2 megapixels"):
        Pictures(8).video("data:video/mp4;base64," + base64.b64encode((tmp_path / "v.mp4").read_bytes()).decode())


def test_models_health_and_metrics_tell_of_what_happened(parrot_server: ServerProcess) -> None:
    status, models = fetch(url(parrot_server, "/v1/models"))
    assert status == 200 and [model["id"] for model in json.loads(models)["data"]] == ["a-parrot"]
    status, health = fetch(url(parrot_server, "/healthz"))
    assert status == 200 and json.loads(health)["status"] == "ok" and json.loads(health)["boot"] == parrot_server.info["boot"]

    def counted() -> dict[str, float]:
        lines = fetch(url(parrot_server, "/metrics"))[1].splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}

    before = counted()
    ask(parrot_server, "hello", max_tokens=4)
    with Client(parrot_server.address) as client:
        assert client.wait_alive(5)
        episode = RemoteEpisode(client, "go", "navila")
        episode.send(0, tiny_frames(1)[0], time.monotonic() - 1.0)
        decision = episode.decide((0,), 10.0)
    assert decision.age_ms is not None and 1000 < decision.age_ms < 11_000
    assert {"queue", "vision", "prefill", "decode"} <= decision.timing_ms.keys() and decision.timing_ms["vision"] > 0
    after = counted()
    new = {name: after[name] - before.get(name, 0) for name in after}
    assert new["nvila_edge_decisions_total"] == new["nvila_edge_frames_encoded_total"] == 1
    assert new['nvila_edge_requests_total{type="decide"}'] == new['nvila_edge_requests_total{type="putframe"}'] == 1
    assert new['nvila_edge_chat_requests_total{status="200"}'] == 1 and new['nvila_edge_chat_tokens_total{kind="completion"}'] == 4
    assert new['nvila_edge_stage_seconds_bucket{stage="answer",le="+Inf"}'] == new['nvila_edge_stage_seconds_count{stage="prefill"}'] == 1
    assert new["nvila_edge_received_bytes_total"] > 1000 and new["nvila_edge_sent_bytes_total"] > 100
    assert 20e6 < after["nvila_edge_resident_memory_bytes"] < 4e9 and after["nvila_edge_uptime_seconds"] > 0


def chat_route(engine: Engine, run: Any) -> Any:
    return ChatRoutes(Talker(engine, run), "m", Metrics()).routes()["POST /v1/chat/completions"]


def call(**more: Any) -> Call:
    return Call("POST", "/v1/chat/completions", json.dumps({"messages": [USER], "max_tokens": 4, **more}).encode(), lambda: False)


def test_a_model_that_fails_is_told_as_an_error_before_and_within_a_stream(engine: Engine) -> None:
    steps = iter(range(2, -10, -1))

    def failing(work: Any, timeout_s: float) -> Any:
        return 1 // 0 if next(steps) <= 0 else work()

    reply = chat_route(engine, failing)(call(stream=True))
    assert reply.status == 200
    *_, last = reply.body
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "engine"
    reply = chat_route(engine, failing)(call())
    assert reply.status == 500 and b"ZeroDivisionError" in reply.body


def test_chats_are_bounded_and_their_places_come_back(engine: Engine) -> None:
    go_on = threading.Event()
    route = chat_route(engine, lambda work, timeout_s: (go_on.wait(20), work())[1])
    replies: list[Any] = []
    chats = [threading.Thread(target=lambda: replies.append(route(call()))) for _ in range(MAX_CHATS)]
    for chat in chats:
        chat.start()
    deadline_s = time.monotonic() + 5
    while (refused := route(call(messages=[]))).status != 429 and time.monotonic() < deadline_s:
        refused.done()
    assert refused.status == 429 and refused.headers["Retry-After"] == "1"
    go_on.set()
    for chat in chats:
        chat.join(20)
    assert [reply.status for reply in replies] == [200] * MAX_CHATS
    assert route(call()).status == 429, "a place is given back when the answer was sent"
    replies[0].done()
    assert route(call()).status == 200


def test_a_robot_waits_for_one_step_of_a_chat_at_most(engine: Engine) -> None:
    """Steps are made slow, so that a chat of 20 would take 4 s; decisions in between take no longer than what is under way."""
    server = Server(engine, "tcp://127.0.0.1:*")
    thread = threading.Thread(target=server.run)
    thread.start()

    def slowly(call: Any, timeout_s: float) -> Any:
        return server.run_task(lambda: (time.sleep(0.2), call())[1], timeout_s)

    said: list[str] = []
    question = Question("hello", max_new_tokens=20)
    chat = threading.Thread(target=lambda: said.extend(Talker(engine, slowly).ask(question).pieces()))
    try:
        with Client(server.address) as client:
            assert client.wait_alive(5)
            chat.start()
            episode = RemoteEpisode(client, "go", "navila")
            waited_ms = []
            for frame_id, frame in enumerate(tiny_frames(5)):
                episode.send(frame_id, frame)
                waited_ms.append(episode.decide((frame_id,), 10.0).timing_ms["queue"])
                assert chat.is_alive()
            assert max(waited_ms) < 700, waited_ms
        chat.join(30)
        assert "".join(said) == engine.generate("hello", max_new_tokens=20)
    finally:
        server.stop()
        thread.join(10)

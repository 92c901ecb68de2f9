"""The client over real sockets and real processes: it knows when the server goes, and gives it back what it lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
import zmq

from nvila_edge.navigation.decision import Decision
from nvila_edge.serving import episode, wire
from nvila_edge.serving.client import Client
from nvila_edge.serving.episode import RemoteEpisode
from nvila_edge.serving.errors import DeadlinePassed, LinkDown, RemoteError, ServerStartError, ServingError
from nvila_edge.serving.jpeg import decode_jpeg, encode_jpeg
from nvila_edge.serving.process import ServerProcess, start_process, start_server
from tests.nvila_edge.pixel_engine import PROFILES, PixelEngine, start_pixel_server


def frame(frame_id: int) -> np.ndarray:
    return np.random.default_rng(frame_id).integers(0, 255, (32, 32, 3), dtype=np.uint8)


@pytest.fixture
def server() -> Iterator[ServerProcess]:
    with start_pixel_server() as process:
        yield process


def follow(episode: RemoteEpisode, first: int, last: int) -> list[Decision]:
    decisions = []
    for frame_id in range(first, last):
        episode.send(frame_id, frame(frame_id))
        decisions.append(episode.decide((frame_id,), 5.0))
        assert decisions[-1].action is not None
        episode.begun(frame_id, decisions[-1].action)
    return decisions


def in_process(count: int) -> list[Decision]:
    engine = PixelEngine(PROFILES["stream"])
    session = engine.session("go")
    return [session.decide(engine.encode(decode_jpeg(encode_jpeg(frame(n)))[None])) for n in range(count)]


def same(remote: list[Decision], local: list[Decision]) -> bool:
    return [(d.action, d.text, d.probability, d.candidates) for d in remote] == [
        (d.action, d.text, d.probability, d.candidates) for d in local
    ]


def test_decisions_over_the_wire_equal_decisions_in_process(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.wait_alive(5) and client.alive
        assert client.hello(2).profile == "stream"
        assert same(follow(RemoteEpisode(client, "go", "stream"), 0, 30), in_process(30))


def test_a_restarted_server_is_given_everything_again(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.wait_alive(5)
        episode = RemoteEpisode(client, "go", "stream")
        decisions = follow(episode, 0, 70)
        server.kill()
        with start_pixel_server(bind=server.address):
            assert client.wait_alive(5)
            assert same(decisions + follow(episode, 70, 75), in_process(75))


def test_a_killed_server_is_noticed_at_once_and_requests_end(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.wait_alive(5)
        killed_s = time.monotonic()
        server.kill()
        while client.alive:
            time.sleep(0.001)
        assert time.monotonic() - killed_s < 0.3
        with pytest.raises(LinkDown, match="is gone"):
            client.hello(10)
        assert time.monotonic() - killed_s < 0.5 and not client.settle() and not client.wait_alive(0.05)


def test_a_request_under_way_ends_when_the_server_is_killed() -> None:
    with start_pixel_server(delay_s=2) as server, Client(server.address) as client:
        assert client.wait_alive(20)
        episode = RemoteEpisode(client, "go", "stream")
        episode.send(0, frame(0))
        timer = threading.Timer(0.3, server.process.kill)
        timer.start()
        started_s = time.monotonic()
        with pytest.raises(LinkDown):
            episode.decide((0,), 20)
        assert time.monotonic() - started_s < 0.8


def test_a_silent_server_stops_being_alive_and_comes_back(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.wait_alive(5)
        boot = client.hello(2).boot
        os.kill(server.process.pid, signal.SIGSTOP)
        stopped_s = time.monotonic()
        while client.alive:
            time.sleep(0.001)
        assert 0.15 < time.monotonic() - stopped_s < 0.4
        assert not client.settle()
        assert 0.3 < time.monotonic() - stopped_s < 0.5
        os.kill(server.process.pid, signal.SIGCONT)
        assert client.wait_alive(5) and client.hello(2).boot == boot


def test_a_patient_client_waits_through_a_silence(server: ServerProcess) -> None:
    with Client(server.address, silence_s=10) as client:
        assert client.wait_alive(5)
        os.kill(server.process.pid, signal.SIGSTOP)
        threading.Timer(0.8, os.kill, (server.process.pid, signal.SIGCONT)).start()
        time.sleep(0.4)
        assert not client.alive and client.settle()


def test_a_late_answer_is_a_deadline_error_and_the_next_request_is_answered() -> None:
    with start_pixel_server(delay_s=0.4) as server, Client(server.address) as client:
        assert client.wait_alive(5)
        episode = RemoteEpisode(client, "go", "stream")
        episode.send(0, frame(0))
        with pytest.raises(DeadlinePassed):
            episode.decide((0,), 0.1)
        assert client.alive
        assert same([episode.decide((0,), 5)], in_process(1))


def test_a_server_that_shuts_down_answers_what_was_asked_and_ends_with_status_0() -> None:
    with start_pixel_server(delay_s=0.4) as server, Client(server.address) as client:
        assert client.wait_alive(5)
        episode = RemoteEpisode(client, "go", "stream")
        episode.send(0, frame(0))
        threading.Timer(0.1, server.process.terminate).start()
        assert same([episode.decide((0,), 5)], in_process(1))
        assert server.process.wait(3) == 0


@pytest.fixture
def router() -> Iterator[zmq.Socket]:
    """A server that says what the test makes it say."""
    context = zmq.Context()
    socket = context.socket(zmq.ROUTER)
    socket.bind("tcp://127.0.0.1:*")
    yield socket
    context.destroy(linger=0)


def test_a_server_of_another_version_is_named(router: zmq.Socket) -> None:
    with Client(router.getsockopt_string(zmq.LAST_ENDPOINT)) as client:
        identity = router.recv_multipart()[0]
        router.send_multipart([identity, wire.pack("pong", 1).replace(b"\xa1v\x01", b"\xa1v\x09")])
        with pytest.raises(ServingError, match="the server speaks protocol version 9, this side speaks 1"):
            client.wait_alive(1)
            client.wait_alive(1)


def test_garbage_from_a_server_does_not_end_the_client(router: zmq.Socket) -> None:
    with Client(router.getsockopt_string(zmq.LAST_ENDPOINT)) as client:
        identity = router.recv_multipart()[0]
        for reply in ([b"\xc1"], [b""], [b"a", b"b", b"c"], [b"\x91\x01"], [b"\x82\xa1v\x01\xa2id\x91\x01"]):
            router.send_multipart([identity, *reply])
        router.send_multipart([identity, wire.pack("pong", 1, boot="b", draining=False)])
        assert client.wait_alive(2)


def test_a_closed_client_raises_instead_of_waiting(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.wait_alive(5)
    client.send_frame("s", 1, b"")
    client.bye("s")
    with pytest.raises(LinkDown):
        client.hello(5)


def test_frames_no_longer_kept_are_a_typed_error(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.wait_alive(5)
        with pytest.raises(RemoteError, match="needs frame 77.*begin a new episode"):
            RemoteEpisode(client, "go", "stream").decide((77,), 5)


def test_frames_are_kept_up_to_so_many_bytes(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    rgb = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    monkeypatch.setattr(episode, "KEPT_BYTES", 3 * len(encode_jpeg(rgb)))
    with Client(server.address) as client:
        kept = RemoteEpisode(client, "go", "stream")
        for frame_id in (0, 1, 2, 2, 3):
            kept.send(frame_id, rgb)
        assert [frame_id for frame_id in range(4) if kept.keeps(frame_id)] == [1, 2, 3]
        monkeypatch.setattr(episode, "KEPT_BYTES", 10)
        kept.send(4, rgb)
        assert kept.keeps(4) and not kept.keeps(3), "the newest one always is"


@pytest.mark.parametrize("instruction", ["", "x" * 5000])
def test_a_bad_instruction_is_refused_before_it_is_sent(server: ServerProcess, instruction: str) -> None:
    with Client(server.address) as client, pytest.raises(ValueError, match="instruction"):
        RemoteEpisode(client, instruction, "stream")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="give an address like tcp://127.0.0.1:5555"):
        Client("nowhere")


def test_a_server_that_cannot_start_says_why(tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServerStartError, match="cannot bind to"):
            start_pixel_server(bind=address)
    with pytest.raises(ServerStartError, match="is reachable from other computers"):
        start_server(tmp_path, "tcp://0.0.0.0:5555")
    with pytest.raises(ServerStartError, match="it closed its output without having been ready"):
        start_process([sys.executable, "-c", "import os, time; os.close(1); time.sleep(60)"], timeout_s=1)
    with pytest.raises(ServerStartError, match="nothing was heard of it in time"):
        start_process([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.2)


def test_a_server_ends_with_the_process_that_started_it() -> None:
    code = """
import os
from tests.nvila_edge.pixel_engine import start_pixel_server
print(start_pixel_server().process.pid, flush=True)
os.kill(os.getpid(), 9)
"""
    pid = int(subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, timeout=20).stdout)
    for _ in range(300):
        try:
            os.kill(pid, 0)
            state = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[0]
        except (ProcessLookupError, FileNotFoundError):
            return
        if state == "Z":
            return
        time.sleep(0.01)
    raise AssertionError(f"process {pid} outlived its parent")


def test_the_client_needs_no_more_than_numpy_zmq_msgpack_and_cv2() -> None:
    code = """
import sys
import nvila_edge.serving.episode, agents.policy, agents.loop
known = set(sys.stdlib_module_names) | {"numpy", "zmq", "msgpack", "cv2", "nvila_edge", "agents", "__main__"}
tops = {name.split(".")[0] for name in sys.modules if not name.startswith("_")}
print(sorted(top for top in tops - known if getattr(sys.modules.get(top), "__spec__", None) and not top.startswith(("cython", "numpy"))))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_many_requests_to_nobody_leave_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"tcp://127.0.0.1:{closed.getsockname()[1]}"
    with Client(address) as client:
        episode = RemoteEpisode(client, "go", "stream")
        for frame_id in range(50):
            episode.send(frame_id, frame(frame_id))
            with pytest.raises(LinkDown):
                episode.decide((frame_id,), 1)
        with start_pixel_server(bind=address):
            assert client.wait_alive(5)
            assert same([episode.decide((0,), 5)], in_process(1))

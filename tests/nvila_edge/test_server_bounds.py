"""What a server keeps is bounded: sessions, their tokens, and what waits for the engine."""

from __future__ import annotations

import time

import numpy as np

from nvila_edge.serving.sessions import SessionLimits, Sessions, SessionState, TokenCache
from nvila_edge.serving.work import MAX_WAITING_BYTES, MAX_WAITING_FRAMES, EncodeJob, Waiting, Work


def test_a_flood_of_sessions_of_one_client_leaves_places_for_others() -> None:
    dropped: list[str] = []
    sessions = Sessions(SessionLimits(sessions=6, per_client=4), dropped.append)
    sessions.open("robot", b"robot")
    for index in range(50):
        sessions.open(f"flood {index}", b"hostile")
    assert {state.name for state in sessions} == {"robot", *(f"flood {index}" for index in range(46, 50))}
    assert dropped == [f"flood {index}" for index in range(46)]
    sessions.open("flood 46", b"hostile")
    sessions.open("another robot", b"another")
    assert len(sessions) == 6


def waiting(nbytes: int) -> Waiting:
    return Waiting(b"c", 1, bytes(nbytes))


def test_waiting_frames_are_bounded_in_number_and_bytes_and_the_oldest_fall_out() -> None:
    work, state = Work(), SessionState("s", TokenCache(1), 0.0)
    for frame_id in range(100):
        work.put_frame(state, frame_id, waiting(10))
    assert len(work) == MAX_WAITING_FRAMES and work.has_frame("s", 99) and not work.has_frame("s", 0)
    large = waiting(MAX_WAITING_BYTES // 8)
    for frame_id in range(100, 120):
        work.put_frame(state, frame_id, large)
        work.put_frame(state, frame_id, large)
    assert len(work) == 8 and work.has_frame("s", 112) and not work.has_frame("s", 111)


def test_a_session_is_known_to_the_queue_only_while_something_of_it_waits() -> None:
    work = Work()
    for name in ("a", "b"):
        for frame_id in (1, 2):
            work.put_frame(SessionState(name, TokenCache(1), 0.0), frame_id, waiting(10))
    jobs = [work.next() for _ in range(3)]
    assert [(job.state.name, job.frame_id) for job in jobs if isinstance(job, EncodeJob)] == [("a", 2), ("b", 2), ("a", 1)]
    assert work.take_frame("b", 1) == waiting(10) and work.take_frame("b", 1) is None
    assert len(work) == 0 and not work._queues  # noqa: SLF001
    work.put_frame(SessionState("c", TokenCache(1), 0.0), 1, waiting(10))
    work.forget("c")
    assert not work._queues  # noqa: SLF001


def test_idle_sessions_expire() -> None:
    gone: list[str] = []
    sessions = Sessions(SessionLimits(idle_s=0.05), gone.append)
    sessions.open("a")
    time.sleep(0.06)
    sessions.open("b")
    sessions.expire()
    assert gone == ["a"] and len(sessions) == 1


def test_the_token_cache_keeps_within_its_bytes() -> None:
    cache = TokenCache(1000)
    for frame_id in range(10):
        cache.put(frame_id, np.zeros(100, np.float32))
        cache.get(0)
    assert cache.nbytes == 800 and 0 in cache and 9 in cache and 5 not in cache
    cache.put(9, np.zeros(1000, np.float32))
    assert 9 in cache and cache.nbytes == 4000

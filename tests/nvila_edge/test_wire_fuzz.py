"""The hostile messages of benchmarks/wire_fuzz.py, a few of them, against a real server process."""

from __future__ import annotations

from itertools import islice

from benchmarks.wire_fuzz import Fuzz, fuzz
from tests.nvila_edge.pixel_engine import start_pixel_server


def test_hostile_messages_leave_the_server_up_its_memory_flat_and_others_served() -> None:
    with start_pixel_server() as server:
        outcome = fuzz(server, 3000, seed=1)
        assert outcome.good, outcome
    assert outcome.replies["error malformed"] > 1000 and outcome.replies["error too_large"] == 1
    assert {"error not_jpeg", "error truncated", "missing"} <= outcome.replies.keys(), "every kind of malice got through"
    assert outcome.honest_decisions >= 2


def test_the_messages_are_the_same_for_the_same_seed() -> None:
    one, same, other = (list(islice(Fuzz(seed), 300)) for seed in (3, 3, 4))
    assert one == same != other and len({kind for kind, _ in one}) == 9

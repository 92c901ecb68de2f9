"""Estimates of what remains."""

from __future__ import annotations

import pytest

from nvila_edge.progress import Estimate, duration


def test_time_spans_read_well():
    assert [duration(s) for s in (0.4, 59.4, 60, 200, 3599.6, 3900)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "3 min 20 s",
        "1 h 00 min",
        "1 h 05 min",
    ]


def test_an_estimate_counts_from_where_it_began(monkeypatch: pytest.MonkeyPatch):
    clock = iter([0.0, 20.0, 40.0, 41.0, 100.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    estimate = Estimate()
    assert estimate.line("language", 10, 20) == "language: 10 of 20"  # an export that goes on
    assert estimate.line("language", 12, 20) == "language: 12 of 20, 1 min 20 s to go"
    assert estimate.line("vision", 0, 4) == "vision: 0 of 4"
    assert estimate.line("vision", 1, 4) == "vision: 1 of 4, 3 s to go"
    assert estimate.line("language", 20, 20) == "language: done"

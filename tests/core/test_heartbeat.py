"""Whatever lasts long is named, with how far it is; what is short is not."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from linksim.core import heartbeat
from linksim.core.heartbeat import Heartbeat, awaited, clock, counted, doing


@pytest.fixture
def said(monkeypatch):
    """Lines of a heart that beats fifty times as fast."""
    monkeypatch.setattr(heartbeat, "FIRST_S", 0.2)
    lines = []
    with Heartbeat(lines.append):
        yield lines


def test_a_long_stage_is_named_again_and_again_at_growing_distances(said):
    with doing("tracing munich"):
        time.sleep(1.8)  # due after 0.2, 0.6 and 1.4 s
    assert 2 <= len(said) <= 3
    assert all(line.startswith("tracing munich, ") and line.endswith(" so far") for line in said)


def test_how_far_and_the_stages_within_are_told(said):
    for item in counted("unit", [1, 2, 3]):
        with doing(f"method {item}"):
            time.sleep(0.3)
    assert said[0] == "unit (0 of 3): method 1, 1 s so far"
    assert any("unit (2 of 3): method 3" in line for line in said)


def test_many_short_stages_are_not_worth_a_line(said):
    for _ in awaited("drawing drops", range(8)):
        with doing("adding them up"):
            time.sleep(0.08)
    assert said == []


def test_nothing_is_left_of_what_failed_or_was_given_up(said):
    with pytest.raises(ValueError, match="no luck"), doing("outer"), doing("inner"):
        raise ValueError("no luck")
    given_up = counted("items", iter(range(3)), 3)
    next(given_up)
    given_up.close()
    assert heartbeat._stages == []
    assert "heartbeat" in [thread.name for thread in threading.enumerate()]


def test_the_watching_ends():
    with Heartbeat(print):
        pass
    assert "heartbeat" not in [thread.name for thread in threading.enumerate()]


def test_a_clock_says_the_day_where_it_is_another():
    now = datetime(2026, 3, 5, 23, 50, tzinfo=timezone(timedelta(hours=1)))
    assert clock(now + timedelta(minutes=5), now) == "23:55"
    assert clock(now + timedelta(minutes=20), now) == "Fri 00:10"
    assert clock(now + timedelta(days=9), now) == "2026-03-14 23:50"
    assert clock((now + timedelta(minutes=5)).astimezone(UTC), now) == "23:55", "in the zone of here"

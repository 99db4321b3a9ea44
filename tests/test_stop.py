"""The stop of a LiteyukiBot: by when all is to have ended."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from liteyuki_core.stop import Stop
from tests.conftest import wait_until


@pytest.fixture
def stop() -> Iterator[Stop]:
    """A stop that may take a minute; its watchdog does nothing."""
    made = Stop(60.0, lambda: None)
    yield made
    made.close()


def test_only_the_first_who_asks_sets_the_deadline(stop: Stop) -> None:
    """Nobody has asked: no time remains."""
    assert stop.remaining() == 0.0
    stop.ask("first")
    first = stop.remaining()
    assert 50 < first <= 60
    stop.ask("second")
    assert stop.remaining() <= first


def test_at_once_leaves_no_time(stop: Stop) -> None:
    """Also where the loop notices the first signal only after the second."""
    stop.expect()
    stop.at_once()
    stop.ask("SIGINT")
    assert stop.asked.is_set()
    assert stop.remaining() == 0.0


def test_the_watchdog_is_let_go_of(stop: Stop) -> None:
    """No thread outlives a stop that is closed."""
    stop.ask("first")
    stop.close()
    wait_until(lambda: not [t for t in threading.enumerate() if t.name == "liteyuki-watchdog"])

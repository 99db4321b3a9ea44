"""Who waits for bytes: it looks for a moment before it sleeps, and seldom if that is in vain.

Threads that read what they wait for: `tests/comm/wire/test_reader.py`.
"""

from __future__ import annotations

import os
import socket
from itertools import pairwise

import pytest

from liteyuki_core.comm.loop.waiter import Arrivals, arrivals_of


class Looks:
    """Stands for a connection: bytes come at the looks that it is told, and in every sleep."""

    def __init__(self, *come: int) -> None:
        self.come = set(come)
        self.looks = 0
        self.sleeps: list[float | None] = []

    def poll(self, milliseconds: float | None) -> list[int]:
        if milliseconds == 0:
            self.looks += 1
            return [1] if self.looks in self.come else []
        self.sleeps.append(milliseconds)
        return [1]


def wait(arrivals: Arrivals, looks: Looks) -> bool:
    """Wait once; return whether it was looked for bytes."""
    before = looks.looks
    assert arrivals.wait(None)
    return looks.looks > before


@pytest.fixture
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two, whatever there is here."""
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


@pytest.mark.usefixtures("two_processors")
def test_what_comes_soon_is_found_without_sleep() -> None:
    """At the first look or at a later one, again and again."""
    looks = Looks(1, 2, 3, 4)
    arrivals = Arrivals(looks.poll)
    for _ in range(4):
        assert wait(arrivals, looks)
    assert looks.sleeps == []


@pytest.mark.usefixtures("two_processors")
def test_who_looks_in_vain_looks_seldom() -> None:
    """Ever more seldom, but never more seldom than once in 65 waits; and often again later."""
    looks = Looks()
    arrivals = Arrivals(looks.poll)
    looked = [wait(arrivals, looks) for _ in range(1000)]
    at = [i for i, each in enumerate(looked) if each]
    apart = [b - a for a, b in pairwise(at)]
    assert apart[:6] == [2, 3, 5, 9, 17, 33]
    assert set(apart[6:]) == {65}
    assert len(looks.sleeps) == 1000
    while not wait(arrivals, looks):
        looks.come = {looks.looks + 1}
    assert [wait(arrivals, looks) for _ in range(5)] == [True, False, True, False, False]


def test_nobody_looks_where_one_processor_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is to send the bytes could not run meanwhile."""
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    looks = Looks(1)
    arrivals = Arrivals(looks.poll)
    assert not any(wait(arrivals, looks) for _ in range(200))


def test_a_connection() -> None:
    """Bytes, the end and a time-out are told apart."""
    ours, theirs = socket.socketpair()
    with ours:
        arrivals = arrivals_of(ours)
        if arrivals is None:
            pytest.skip("this system waits for no bytes alone")
        with theirs:
            assert not arrivals.wait(0.01)
            theirs.send(b"x")
            assert arrivals.wait(10)
            assert ours.recv(1) == b"x"
            assert not arrivals.wait(0.01)
        assert arrivals.wait(10)

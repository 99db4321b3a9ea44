"""Law C7 of channels: `on_end` of a callback is called when no message will come any more.

Tests comm/loop/callbacks.py, comm/loop/runner.py, comm/ends/receiving.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import ChannelBroken, ChannelClosed, ChannelError
from tests.conftest import wait_until
from tests.pair import Ends, Pair, send_all


@pytest.fixture(params=["sync", "async"])
def noting(request: pytest.FixtureRequest) -> Callable[[list[Any]], Callable[[Any], Any]]:
    """Return what makes a function, sync or async, that adds what it gets to a list."""

    def make(noted: list[Any]) -> Callable[[Any], Any]:
        async def note(given: Any) -> None:
            await asyncio.sleep(0)
            noted.append(given)

        return noted.append if request.param == "sync" else note

    return make


Noting = Callable[[list[Any]], Callable[[Any], Any]]


@pytest.mark.every_transport
def test_a_closed_other_side(ends: Ends, noting: Noting, capacity: int) -> None:
    """Once, after the callbacks of all that it had sent have ended, also where they take long."""
    sender, receiver = ends
    noted: list[Any] = []
    go_on = threading.Event()

    @receiver.on_receive(on_end=noting(noted))
    def callback(data: int) -> None:
        go_on.wait(10)
        noted.append(data)

    messages = range(capacity)
    send_all(sender, messages)
    sender.close()
    wait_until(lambda: receiver._open().gone is not None, "the end has come")
    assert noted == []
    go_on.set()
    wait_until(lambda: len(noted) > capacity, "the end was told")
    assert sorted(noted[:-1]) == list(messages)
    assert type(noted[-1]) is ChannelClosed
    assert noted[-1].channel == receiver.name


def test_a_dead_other_side_that_comes_back(pair: Pair, noting: Noting) -> None:
    """`ChannelBroken`, with the reason; and once more when the next process has died too."""
    ours = Channel._of(pair.main.get("w-active"))
    noted: list[Any] = []
    messages: list[Any] = []

    @ours.on_receive(on_end=noting(noted))
    async def callback(data: Any) -> None:
        messages.append(data)

    for life in (1, 2):
        theirs = Channel._of(pair.child.get("w-active"))
        theirs.send(life)
        wait_until(lambda life=life: len(messages) == life, "the message was handled")
        dead = pair.child
        pair.port._link._connection.shutdown(2)
        wait_until(lambda: pair.peer not in pair.hub.table.peers, "the hub has seen the end")
        pair.hub.process_ended("w", ChannelBroken, f"process w died {life}", ("last words",))
        wait_until(lambda life=life: len(noted) == life, "the end was told")
        assert type(noted[-1]) is ChannelBroken
        assert f"process w died {life}" in str(noted[-1])
        assert noted[-1].lines == ("last words",)
        if life == 1:
            pair.connect()
            dead.close(0.1)
    assert messages == [1, 2]


def test_who_comes_after_the_end(ends: Ends) -> None:
    """A callback that is registered then is told as well; one that was told is not told again."""
    sender, receiver = ends
    first: list[ChannelError] = []
    second: list[ChannelError] = []

    @receiver.on_receive(on_end=first.append)
    async def one(data: Any) -> None:
        pass

    sender.close()
    wait_until(lambda: first, "the end was told")

    @receiver.on_receive(on_end=second.append)
    async def other(data: Any) -> None:
        pass

    wait_until(lambda: second, "and told to who came later")
    assert len(first) == len(second) == 1


def test_its_own_close_and_errors(pair: Pair) -> None:
    """A close in this process tells nothing. What `on_end` raises is logged with its name."""
    _, theirs = pair.channel(4)
    told: list[ChannelError] = []

    @theirs.on_receive(on_end=told.append)
    async def callback(data: Any) -> None:
        pass

    theirs.close()
    first, theirs = pair.channel(4)

    def raises(error: ChannelError) -> None:
        raise ValueError("on_end raises")

    @theirs.on_receive(on_end=raises)
    async def another(data: Any) -> None:
        pass

    first.close()
    pair.logged("ERROR", theirs.name or "", "raises", "on_end raises")
    assert theirs.stats()["errors"] == 1
    assert told == []


def test_what_it_must_be(ends: Ends) -> None:
    """A function."""
    with pytest.raises(TypeError, match="on_end must be callable, not int"):
        ends[0].on_receive(on_end=1)  # type: ignore[call-overload]

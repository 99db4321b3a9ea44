"""Law C9 of channels: names.

A channel is got by its name in any process, wherever it was made. The functions of
`liteyuki_core.comm` that do this are tested in `tests/comm/test_registry.py`.

Tests comm/context.py, comm/current.py, comm/link_port.py, comm/hub/local_port.py,
comm/ends/port.py.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from liteyuki_core.comm import current
from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelError,
    ChannelExists,
    ChannelNotFound,
    NotConnected,
)
from tests.conftest import wait_until
from tests.pair import Door, Pair, in_thread


def test_names(pair: Pair, door: Door) -> None:
    """A name is taken once, is free again after closing, and an unknown one says what there is."""
    with pytest.raises(ChannelNotFound, match=r"'nope'.*w-active, w-passive") as caught:
        pair.child.get("nope")
    assert isinstance(caught.value, KeyError)
    made = pair.child.make("mine", 4)
    pair.child.register("mine", made)
    for context in (pair.main, pair.child):
        with pytest.raises(ChannelExists, match="'mine'") as exists:
            context.register("mine", context.make("mine", 4))
        assert isinstance(exists.value, ValueError)
    ours, theirs = Channel._of(pair.main.get("mine")), Channel._of(made)
    assert pair.main.get("mine") is ours._open()
    assert ours.capacity == 4
    door.send(ours, "to its maker")
    assert door.receive(theirs) == "to its maker"
    theirs.close()
    wait_until(lambda: "mine" not in pair.main.port.names())
    pair.main.register("mine", pair.main.make("mine", 2))


@pytest.mark.parametrize("kind", [ChannelBroken, ChannelClosed])
def test_names_of_a_process_that_is_gone(pair: Pair, door: Door, kind: type[ChannelError]) -> None:
    """Its channels' names are free again, but what it had sent can still be got by them."""
    for name in ("empty", "full"):
        pair.child.register(name, pair.child.make(name, 4))
    door.send(Channel._of(pair.child.get("full")), "left behind")
    pair.port.shut(5)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", kind, "process w exited")
    assert "empty" not in pair.main.port.names()
    full = Channel._of(pair.main.get("full"))
    assert door.receive(full) == "left behind"
    with pytest.raises(kind, match="full: process w exited"):
        door.receive(full)
    for name in ("empty", "full"):
        pair.main.register(name, pair.main.make(name, 4))


def test_a_name_that_is_taken_over(pair: Pair) -> None:
    """What nobody has got from a closed channel is let go of with a warning."""
    made = pair.main.make("again", 4)
    pair.main.register("again", made)
    Channel._of(made).send("never got")
    made.close()
    pair.main.register("again", pair.main.make("again", 4))
    pair.logged("WARNING", "channel again", "1 messages")


def test_messages_wait_for_whoever_gets_the_channel(pair: Pair, door: Door) -> None:
    """What is sent before the other end is got is there when it is."""
    made = pair.main.make("early", 4)
    pair.main.register("early", made)
    for i in range(4):
        door.send(Channel._of(made), i)
    wait_until(lambda: "early" in pair.port.names())
    theirs = Channel._of(pair.child.get("early"))
    assert [door.receive(theirs) for _ in range(4)] == [0, 1, 2, 3]


def test_a_channel_that_threads_open_at_once(pair: Pair) -> None:
    """It has one end: what each of them sends goes the same way."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    current.install(pair.main)

    def use(channel: Channel[int], go: threading.Event) -> None:
        while not go.is_set():
            pass
        channel.send(1)

    try:
        for _ in range(50):
            channel: Channel[int] = Channel()
            go = threading.Event()
            threads = [in_thread(use, channel, go) for _ in range(4)]
            go.set()
            for thread in threads:
                thread.join(10)
            assert channel.stats()["sent"] == 4
            channel.close()
        wait_until(lambda: not pair.main.ends, "the ends of those that came too late are left")
    finally:
        current.uninstall(pair.main)
        sys.setswitchinterval(interval)


@pytest.mark.parametrize(
    ("name", "capacity", "error"),
    [
        (1, 1, TypeError),
        ("", 1, ValueError),
        ("x" * 201, 1, ValueError),
        ("a\nb", 1, ValueError),
        ("x", 0, ValueError),
        ("x", True, TypeError),
        ("x", 1.5, TypeError),
    ],
)
def test_bad_arguments(name: Any, capacity: Any, error: type[Exception]) -> None:
    """Names and capacities that can't be are refused at once."""
    with pytest.raises(error):
        Channel(name, capacity=capacity)


def test_without_a_host() -> None:
    """A channel can be made anywhere; using it outside a LiteyukiBot says so."""
    channel: Channel[int] = Channel[int]("free")
    for act in (lambda: channel.send(1), channel.receive_nowait, channel.close):
        with pytest.raises(NotConnected, match="LiteyukiBot"):
            act()


def test_channel_errors_name_the_channel(pair: Pair) -> None:
    """Every channel error has `.channel`."""
    ours, _ = pair.channel(1)
    with pytest.raises(ChannelError) as caught:
        ours.receive(0)
    assert caught.value.channel == "channel-1"

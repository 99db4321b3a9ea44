"""The public functions that turn names into channels, on both sides."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from liteyuki_core.comm import (
    Channel,
    active_channel,
    current,
    get_channel,
    get_channels,
    set_channel,
    set_channels,
)
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelExists,
    ChannelNotFound,
    ChannelTimeout,
    NotConnected,
)
from tests.conftest import wait_until
from tests.pair import Pair


@pytest.fixture(params=["main", "child"])
def side(request: pytest.FixtureRequest, pair: Pair) -> Iterator[Any]:
    """A pair of which this process is now the one side, now the other."""
    here, there = pair.main, pair.child
    if request.param == "child":
        here, there = there, here
    current.install(here)
    yield pair, here, there
    current.uninstall(here)


def test_set_and_get_many(side: Any) -> None:
    """What one side names, both list and get; what is listed is opened when it is used."""
    _, here, there = side
    made: dict[str, Channel[int]] = {
        "one": Channel(capacity=3),
        "two": Channel("other", capacity=5),
    }
    set_channels(made)
    assert made["two"].name == "two"
    wait_until(lambda: {"one", "two"} <= set(there.port.names()))
    listed = get_channels()
    assert set(listed) == {"w-active", "w-passive", "one", "two"}
    assert [listed[name].capacity for name in ("one", "two")] == [3, 5]
    listed["one"].send(1)
    assert Channel._of(there.get("one")).receive(10) == 1
    with pytest.raises(ChannelTimeout):
        Channel._of(there.get("one")).receive(0)  # That acknowledges it: nothing is under way.
    assert get_channel("one")._open() is made["one"]._open()
    set_channel("one", made["one"])
    with pytest.raises(ChannelExists, match="'two'"):
        set_channel("two", Channel())
    made["one"].close()
    wait_until(lambda: "one" not in here.port.names())
    with pytest.raises(ChannelNotFound):
        get_channel("one")


@pytest.mark.parametrize(("name", "channel"), [(1, Channel()), ("x", "channel"), ("", Channel())])
def test_bad_arguments(side: Any, name: Any, channel: Any) -> None:
    """A name that can't be, or what is no channel, is refused at once."""
    with pytest.raises((TypeError, ValueError)):
        set_channel(name, channel)


def test_own_channels(side: Any) -> None:
    """`active_channel` is a child's; in the main process it says what to use instead."""
    pair, here, _ = side
    active_channel._end = None
    if here is pair.main:
        with pytest.raises(NotConnected, match=r'get_channel\("NAME-active"\)'):
            active_channel.receive_nowait()
    else:
        active_channel.send("up")
        assert Channel._of(pair.main.get("w-active")).receive(10) == "up"
        assert active_channel.name == "w-active"
    active_channel._end = None


def test_naming_when_the_main_process_does_not_answer(
    side: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a child it waits for a bounded time, and ends when the main process does."""
    pair, here, _ = side
    if here is pair.main:
        set_channel("at once", Channel())
        return
    monkeypatch.setattr("liteyuki_core.comm.link_port._REPLY_SECONDS", 0.05)
    with pair.hub.lock, pytest.raises(ChannelTimeout, match="did not answer"):
        set_channel("late", Channel())
    monkeypatch.setattr("liteyuki_core.comm.link_port._REPLY_SECONDS", 10)
    channel: Channel[int] = Channel()
    channel._open()
    with pair.hub.lock:
        pair.peer.link._connection.shutdown(2)
        with pytest.raises(ChannelBroken, match="main process is gone"):
            set_channel("never", channel)
    wait_until(lambda: pair.child_ended)
    with pytest.raises(ChannelBroken, match="main process is gone"):
        set_channel("never", channel)

"""Law C7 of channels: close.

It wakes who waits; the other side drains what was sent, then gets `ChannelClosed`. A peer that is
dead and not restarted: what it sent is drained, then `ChannelBroken`.
"""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelError,
)
from tests.conftest import wait_until
from tests.pair import Door, Ends, Pair, in_thread


@pytest.mark.every_transport
def test_close(ends: Ends, door: Door) -> None:
    """Closing is idempotent; the other side drains, then both ends are closed."""
    sender, receiver = ends
    door.send(sender, 1)
    sender.close()
    sender.close()
    assert sender.closed
    for act in (lambda: door.send(sender, 2), lambda: door.receive(sender)):
        with pytest.raises(ChannelClosed, match="channel-1"):
            act()
    assert door.receive(receiver) == 1
    with pytest.raises(ChannelClosed):
        door.receive(receiver)
    with pytest.raises(ChannelClosed):
        door.send(receiver, 3)
    receiver.close()


@pytest.mark.every_transport
def test_close_wakes_waiters(ends: Ends, door: Door) -> None:
    """Whoever waits on a closed end, here or on the other side, gets ChannelClosed."""
    one, other = ends
    raised: list[Exception] = []

    def wait(channel: Channel[Any]) -> None:
        try:
            door.receive(channel, None)
        except Exception as error:
            raised.append(error)

    threads = [in_thread(wait, one), in_thread(wait, one), in_thread(wait, other)]
    wait_until(
        lambda: (
            len(one._open().receiving.receivers) == 2
            and len(other._open().receiving.receivers) == 1
        )
    )
    one.close()
    for thread in threads:
        thread.join(10)
    assert [type(error) for error in raised] == [ChannelClosed] * 3


@pytest.mark.every_transport
def test_close_wakes_waiting_sends(ends: Ends, door: Door, capacity: int) -> None:
    """A send that waits for room gets ChannelClosed when the other side closes."""
    sender, receiver = ends
    for i in range(capacity):
        door.send(sender, i)
    raised: list[Exception] = []

    def wait() -> None:
        try:
            door.send(sender, "never")
        except Exception as error:
            raised.append(error)

    thread = in_thread(wait)
    wait_until(lambda: sender._open().sending.senders)
    receiver.close()
    thread.join(10)
    assert [type(error) for error in raised] == [ChannelClosed]


@pytest.mark.parametrize("who", ["this side", "the other side"])
def test_an_iteration_ends_when_another_thread_closes(ends: Ends, door: Door, who: str) -> None:
    """Whichever end that closes, and if it waits at the time."""
    sender, receiver = ends
    got: list[Any] = []
    thread = in_thread(lambda: got.append(door.drain(receiver)))
    wait_until(lambda: receiver._open().receiving.receivers)
    (receiver if who == "this side" else sender).close()
    thread.join(10)
    assert got == [[]]
    assert door.drain(receiver) == []


@pytest.mark.parametrize("what", ["send", "receive"])
def test_an_end_that_another_thread_closes(
    ends: Ends, door: Door, capacity: int, what: str
) -> None:
    """Who waits there gets ChannelClosed, and so does whoever comes later; nobody is left."""
    sender, receiver = ends
    raised: list[Exception] = []

    def act() -> None:
        try:
            if what == "send":
                door.send(sender, "never", None)
            else:
                door.receive(sender, None)
        except Exception as error:
            raised.append(error)

    for i in range(capacity):
        door.send(sender, i)
    end = sender._open()
    threads = [in_thread(act) for _ in range(3)]
    wait_until(lambda: len(end.sending.senders if what == "send" else end.receiving.receivers) == 3)
    sender.close()
    for thread in threads:
        thread.join(10)
    act()
    assert [type(error) for error in raised] == [ChannelClosed] * 4
    assert all("channel-1" in str(error) for error in raised)
    assert not end.sending.senders
    assert not end.receiving.receivers
    assert door.drain(receiver) == list(range(capacity))


def test_receives_race_with_a_close(pair: Pair, door: Door, capacity: int) -> None:
    """Whatever the moment another thread closes the end: a message or ChannelClosed, no hang."""

    def receive(channel: Channel[Any], got: list[Any], raised: list[Exception]) -> None:
        try:
            while True:
                got.append(door.receive(channel, None))
        except Exception as error:
            raised.append(error)

    for _ in range(10):
        sender, receiver = pair.channel(capacity)
        got: list[Any] = []
        raised: list[Exception] = []
        threads = [in_thread(receive, receiver, got, raised) for _ in range(2)]
        for i in range(capacity):
            sender.send(i, 10)
        receiver.close()
        for thread in threads:
            thread.join(10)
        assert [type(error) for error in raised] == [ChannelClosed] * 2
        assert sorted(got) == list(range(len(got)))
        sender.close()


@pytest.mark.one_hub
@pytest.mark.parametrize("kind", [ChannelBroken, ChannelClosed])
def test_a_process_that_was_removed(pair: Pair, door: Door, kind: type[ChannelError]) -> None:
    """Sending on its channels says why that can't be; a send that waits for room is told so."""
    channel = Channel._of(pair.main.get("w-active"))
    raised: list[Exception] = []

    def send(data: Any) -> None:
        try:
            door.send(channel, data)
        except Exception as error:
            raised.append(error)

    for i in range(channel.capacity):
        channel.send(i)
    thread = in_thread(send, "waits")
    wait_until(lambda: channel._open().sending.senders)
    pair.port.shut(5)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", kind, "process w was removed")
    thread.join(10)
    send("later")
    late = Channel._of(pair.main.get("w-passive"))
    with pytest.raises(kind, match="w-passive: process w was removed"):
        door.send(late, "too late")
    with pytest.raises(kind, match="w-passive: process w was removed"):
        door.receive(late)
    assert [type(error) for error in raised] == [kind] * 2
    assert all("w-active: process w was removed" in str(error) for error in raised)


@pytest.mark.every_transport
def test_a_dead_peer(pair: Pair, door: Door) -> None:
    """What a dead child sent is received, then ChannelBroken with the reason."""
    ours, theirs = pair.channel(8)
    door.send(theirs, "last words")
    pair.port.pump()
    pair.lose_child()
    assert door.receive(ours) == "last words"
    for act in (lambda: door.receive(ours), lambda: door.send(ours, 1)):
        with pytest.raises(ChannelBroken, match="exited with code 9") as caught:
            act()
        assert isinstance(caught.value, ConnectionError)
    with pytest.raises(ChannelBroken):
        door.drain(ours)


@pytest.mark.every_transport
def test_the_main_process_is_gone(pair: Pair, door: Door) -> None:
    """A child's ends break when the link ends."""
    _, theirs = pair.channel(8)
    pair.peer.link._connection.shutdown(2)
    wait_until(lambda: pair.child_ended)
    with pytest.raises(ChannelBroken, match="main process is gone"):
        door.receive(theirs)


@pytest.mark.every_transport
def test_who_has_closed_is_not_opened_again(pair: Pair, door: Door) -> None:
    """While a process ends its link it may hear that the other side is back: it sends no more.

    What it sent then would be lost without a word.
    """
    pair.another("other")
    wait_until(lambda: "other-passive" in pair.port.names(), "the child knows its name")
    theirs = Channel._of(pair.child.get("other-passive"))
    pair.lose("other")
    pair.hub.process_ended("other", ChannelClosed, "process other was stopped")
    wait_until(lambda: theirs._open().gone is not None, "the other side is gone")
    pair.child.lost(ChannelClosed, "this process's LiteyukiBot has stopped")  # As a close begins.
    pair.another("other")  # The other side is back.
    pair.main.register("later", pair.main.make("later", 8))
    wait_until(lambda: "later" in pair.port.names(), "what came before it is there too")
    for act in (lambda: door.send(theirs, 1), lambda: door.receive(theirs)):
        with pytest.raises(ChannelClosed, match="has stopped"):
            act()

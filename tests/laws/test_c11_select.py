"""Law C11 of channels: select.

From whichever has some, fairly, and nothing lost.

Tests comm/select.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm import async_select, select
from liteyuki_core.comm.channel import Channel, receive_observer
from liteyuki_core.comm.wire.batch import pack_text
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelEmpty,
    ChannelModeError,
    ChannelTimeout,
    NotConnected,
    WouldBlockLoop,
)
from tests.conftest import wait_until
from tests.pair import AsyncDoor, Ends, Pair, SyncDoor, Unbuildable, in_thread, run_async
from tests.program import running_program

Handle = Callable[[tuple[Channel[Any], Any]], None]


class SyncSelect:
    """select, and the sync methods of a channel."""

    door = SyncDoor()
    call = staticmethod(select)

    def next(self, selected: Any) -> tuple[Channel[Any], Any]:
        return next(selected)  # type: ignore[no-any-return]

    def all(self, *channels: Channel[Any], timeout: float | None = 10) -> list[Any]:
        return list(select(*channels, timeout=timeout))

    def serve(self, handle: Handle, *channels: Channel[Any]) -> None:
        for given in select(*channels):
            handle(given)


class AsyncSelect:
    """async_select, each step on a loop of its own, and the async methods."""

    door = AsyncDoor()
    call = staticmethod(async_select)

    def next(self, selected: Any) -> tuple[Channel[Any], Any]:
        return run_async(selected.__anext__())  # type: ignore[no-any-return]

    def all(self, *channels: Channel[Any], timeout: float | None = 10) -> list[Any]:
        async def collect() -> list[Any]:
            return [item async for item in async_select(*channels, timeout=timeout)]

        return run_async(collect())  # type: ignore[no-any-return]

    def serve(self, handle: Handle, *channels: Channel[Any]) -> None:
        async def serve() -> None:
            async for given in async_select(*channels):
                handle(given)

        run_async(serve())


Way = SyncSelect | AsyncSelect


@pytest.fixture(params=[SyncSelect(), AsyncSelect()], ids=["sync", "async"])
def way(request: pytest.FixtureRequest) -> Way:
    """The sync and the async form."""
    way: Way = request.param
    return way


@pytest.fixture(params=["main selects", "child selects"])
def channels(request: pytest.FixtureRequest, pair: Pair, capacity: int) -> list[Ends]:
    """Three channels, each as the sender's and the selecting end.

    The first and second are made by the main process and got by name in the child.
    The third is made by the child.
    """
    made = pair.child.make("made", capacity)
    pair.child.register("made", made)
    both = [
        *(pair.channel(capacity) for _ in range(2)),
        (Channel._of(pair.main.get("made")), Channel._of(made)),
    ]
    if request.param == "child selects":
        return both
    return [(theirs, ours) for ours, theirs in both]


def arrived(channel: Channel[Any], count: int) -> None:
    """Wait until so many messages are at an end."""
    end = channel._open()
    wait_until(
        lambda: (
            len(end.receiving._opened) + sum(batch.count for batch in end.receiving._inbox) == count
        )
    )


def begun(channels: list[Ends]) -> list[Channel[Any]]:
    """Return the receiving ends once something was asked of each: till then the hub keeps all."""
    receivers = [receiver for _, receiver in channels]
    for receiver in receivers:
        with pytest.raises(ChannelEmpty):
            receiver.receive_nowait()
    return receivers


def waiting(*channels: Channel[Any]) -> list[int]:
    """Return how many wait at each end."""
    return [len(channel._open().receiving.receivers) for channel in channels]


# ------------------------------------------------------------- what comes


@pytest.mark.every_transport
def test_all_of_everything(channels: list[Ends], way: Way) -> None:
    """Every message of every channel comes once and in order; all closed and drained, it ends."""

    def send(which: int) -> None:
        sender = channels[which][0]
        for i in range(60):
            way.door.send(sender, (which, i))
        sender.close()

    threads = [in_thread(send, which) for which in range(3)]
    got: dict[int, list[int]] = {which: [] for which in range(3)}
    for channel, (which, i) in way.all(*(ends[1] for ends in channels)):
        assert channel is channels[which][1]
        got[which].append(i)
    for thread in threads:
        thread.join(10)
    assert got == {which: list(range(60)) for which in range(3)}


@pytest.mark.one_hub
def test_ready_channels_take_turns(channels: list[Ends], way: Way, capacity: int) -> None:
    """Of channels that all have messages each gives one before one gives a second."""
    receivers = begun(channels)
    for which, (sender, receiver) in enumerate(channels):
        for i in range(capacity):
            way.door.send(sender, (which, i))
        arrived(receiver, capacity)
    selected = way.call(*receivers, timeout=10)
    got = [way.next(selected)[1] for _ in range(3 * capacity)]
    assert got == [(which, i) for i in range(capacity) for which in range(3)]


def test_a_busy_channel_starves_no_other(channels: list[Ends], way: Way) -> None:
    """A message on a quiet channel comes while another always has some."""
    (busy, from_busy), (quiet, from_quiet), _ = channels
    begun(channels)
    over = threading.Event()

    def keep_busy() -> None:
        while not over.is_set():
            busy.send("busy")
        busy.close()

    thread = in_thread(keep_busy)
    selected = way.call(from_busy, from_quiet, timeout=10)
    for _ in range(5):
        assert way.next(selected) == (from_busy, "busy")
    quiet.send("quiet")
    arrived(from_quiet, 1)
    assert "quiet" in [way.next(selected)[1] for _ in range(2)]
    over.set()
    quiet.close()
    while True:
        try:
            way.next(selected)
        except (StopIteration, StopAsyncIteration):
            break
    thread.join(10)


@pytest.mark.one_hub
def test_what_can_not_be_rebuilt_is_skipped(
    pair: Pair, channels: list[Ends], way: Way, capacity: int
) -> None:
    """It is logged with its channel's name, gives its room back, and the rest comes."""
    (one, from_one), (_, from_other), _ = channels
    thread = in_thread(lambda: [one.send(data) for data in [Unbuildable()] * 3 + ["fine"]])
    selected = way.call(from_one, from_other, timeout=10)
    assert way.next(selected) == (from_one, "fine")
    thread.join(10)
    assert "skipped" in pair.logged("ERROR", "channel-1", "not here")


def test_acknowledging(channels: list[Ends], way: Way, capacity: int) -> None:
    """A message is acknowledged when the next is asked for, whichever channel has that."""
    (one, from_one), (other, from_other), _ = channels
    begun(channels)
    for i in range(capacity):
        one.send(i)
    selected = way.call(from_one, from_other, timeout=10)
    assert way.next(selected) == (from_one, 0)
    with pytest.raises(ChannelTimeout):
        one.send("no room", 0.05)
    other.send("next")
    arrived(from_other, 1)
    assert way.next(selected) == (from_other, "next")
    one.send("room", 10)


# ------------------------------------------------------------- waiting


def test_timeouts(channels: list[Ends], way: Way) -> None:
    """For each message anew; nothing is lost, nobody left waiting, and it can be asked again."""
    (one, from_one), (_, from_other), _ = channels
    selected = way.call(from_one, from_other, timeout=0.02)
    for _ in range(2):
        with pytest.raises(ChannelTimeout, match=r"channel-1, channel-2.*0\.02 s") as caught:
            way.next(selected)
    assert isinstance(caught.value, TimeoutError)
    assert waiting(from_one, from_other) == [0, 0]
    one.send("late")
    arrived(from_one, 1)
    assert way.next(selected) == (from_one, "late")
    alone = way.call(from_other, timeout=0)
    with pytest.raises(ChannelTimeout) as caught:
        way.next(alone)
    assert caught.value.channel == "channel-2"


def test_a_waiting_select_is_woken(channels: list[Ends], way: Way) -> None:
    """By each of its channels; afterwards it waits at none."""
    receivers = [receiver for _, receiver in channels]
    selected = way.call(*receivers)
    for sender, receiver in channels:
        got: list[Any] = []
        thread = in_thread(lambda got=got: got.append(way.next(selected)))
        wait_until(lambda: waiting(*receivers) == [1, 1, 1])
        way.door.send(sender, "wake")
        thread.join(10)
        assert got == [(receiver, "wake")]
        assert waiting(*receivers) == [0, 0, 0]


def test_on_a_loops_thread(channels: list[Ends]) -> None:
    """select gives what has arrived there, but never waits."""
    (one, from_one), (_, from_other), _ = channels

    async def scenario() -> None:
        selected = select(from_one, from_other, timeout=5)
        with pytest.raises(WouldBlockLoop, match="async_select"):
            next(selected)
        await one.async_send("here")
        async for item in async_select(from_one, from_other):
            assert item == (from_one, "here")
            break
        sending = asyncio.ensure_future(one.async_send("again"))
        while True:
            try:
                assert next(selected) == (from_one, "again")
                await sending
                return
            except WouldBlockLoop:
                await asyncio.sleep(0.001)

    run_async(scenario())
    assert waiting(from_one, from_other) == [0, 0]


def test_cancelled_selects_lose_nothing(channels: list[Ends]) -> None:
    """However they are cancelled, every message is received once, in order."""
    (one, from_one), (other, from_other), _ = channels

    async def send(channel: Channel[Any]) -> None:
        for i in range(100):
            await channel.async_send(i)

    async def scenario() -> dict[Channel[Any], list[int]]:
        got: dict[Channel[Any], list[int]] = {from_one: [], from_other: []}
        sending = [asyncio.ensure_future(send(channel)) for channel in (one, other)]
        turn = 0
        while sum(map(len, got.values())) < 200:
            turn += 1
            task = asyncio.ensure_future(async_select(from_one, from_other).__anext__())
            await asyncio.sleep(0.002 if turn % 2 else 0)
            task.cancel()
            try:
                channel, data = await task
                got[channel].append(data)
            except asyncio.CancelledError:
                pass
        for task in sending:
            await task
        return got

    got = run_async(scenario())
    assert got == {from_one: list(range(100)), from_other: list(range(100))}
    assert waiting(from_one, from_other) == [0, 0]


def test_leaving_the_loop_loses_nothing(channels: list[Ends], way: Way) -> None:
    """What has arrived stays where it is, for a receive or the next select."""
    (one, from_one), (other, from_other), _ = channels
    begun(channels)
    one.send("one")
    other.send("other")
    arrived(from_one, 1)
    arrived(from_other, 1)

    async def leave() -> Any:
        async for item in async_select(from_one, from_other):
            return item
        return None

    if isinstance(way, AsyncSelect):
        first = run_async(leave())
    else:
        for first in select(from_one, from_other):  # noqa: B007
            break
    second = from_other if first[0] is from_one else from_one
    assert way.door.receive(second) in ("one", "other")
    sending = in_thread(one.send, "more")
    assert way.next(way.call(from_other, from_one, timeout=10)) == (from_one, "more")
    sending.join(10)
    assert waiting(from_one, from_other) == [0, 0]


@pytest.mark.parametrize("other_door", [SyncDoor(), AsyncDoor()], ids=["receive", "async_receive"])
def test_a_wake_up_that_is_not_used_goes_on(
    channels: list[Ends], way: Way, other_door: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A select that two ends have woken takes one message; the other wakes who waits behind it."""
    (_, from_one), (_, from_other), _ = channels
    got: dict[str, Any] = {}
    selected = way.call(from_one, from_other)
    selecting = in_thread(lambda: got.update(select=way.next(selected)))
    wait_until(lambda: waiting(from_one, from_other) == [1, 1])
    receiving = in_thread(lambda: got.update(receive=other_door.receive(from_other)))
    wait_until(lambda: waiting(from_other) == [2])
    one, other = from_one._open(), from_other._open()
    for end in (one, other):  # The hub does not know these messages, and would end the link.
        monkeypatch.setattr(end.receiving.handed, "pass_on", lambda ranges: None)
    with one.lock:
        one.receiving.on_data(pack_text(0, ["for the select"]))
        other.receiving.on_data(pack_text(0, ["for the receive"]))
    selecting.join(10)
    receiving.join(10)
    assert got == {"select": (from_one, "for the select"), "receive": "for the receive"}


def test_selects_share(channels: list[Ends], way: Way) -> None:
    """Several at the same ends: each message goes to one of them."""
    (one, from_one), (other, from_other), _ = channels
    got: list[Any] = []

    def take() -> None:
        for _, data in way.all(from_one, from_other):
            got.append(data)

    selecting = [in_thread(take) for _ in range(3)]
    for i in range(50):
        one.send(i)
        other.send(-i - 1)
    one.close()
    other.close()
    for thread in selecting:
        thread.join(10)
    assert sorted(got) == list(range(-50, 50))


# ------------------------------------------------------------- ends


@pytest.mark.parametrize("who", ["this side", "the other side"])
def test_channels_closed_meanwhile_drop_out(channels: list[Ends], way: Way, who: str) -> None:
    """A select waits on for the others, and ends with the last."""
    receivers = [receiver for _, receiver in channels]
    closing = receivers if who == "this side" else [sender for sender, _ in channels]
    got: list[Any] = []
    thread = in_thread(lambda: got.extend(way.all(*receivers, timeout=None)))
    wait_until(lambda: waiting(*receivers) == [1, 1, 1])
    closing[0].close()
    closing[1].close()
    wait_until(lambda: waiting(*receivers) == [0, 0, 1])
    channels[2][0].send("still")
    wait_until(lambda: got or waiting(receivers[2]) == [1])
    closing[2].close()
    thread.join(10)
    assert not thread.is_alive()
    assert got in ([(receivers[2], "still")], [])


def test_closed_channels_are_drained(channels: list[Ends], way: Way, capacity: int) -> None:
    """What the other side sent before it closed comes; after the end there is only the end."""
    for sender, _ in channels:
        for i in range(capacity):
            sender.send(i)
        sender.close()
    receivers = [receiver for _, receiver in channels]
    selected = way.call(*receivers, timeout=10)
    got = [way.next(selected) for _ in range(3 * capacity)]
    assert sorted((receivers.index(c), i) for c, i in got) == [
        (which, i) for which in range(3) for i in range(capacity)
    ]
    for _ in range(2):
        with pytest.raises((StopIteration, StopAsyncIteration)):
            way.next(selected)
    assert way.all(*receivers) == []


def test_the_end_of_receiving(pair: Pair, channels: list[Ends], way: Way) -> None:
    """Where a process stops, its selects end."""
    receivers = [receiver for _, receiver in channels]
    thread = in_thread(lambda: way.all(*receivers, timeout=None))
    wait_until(lambda: waiting(*receivers) == [1, 1, 1])
    receivers[0]._open()._stop.end_receiving("the test stops")
    thread.join(10)
    assert not thread.is_alive()


def test_a_stop_ends_a_select_with_what_it_has_in_hand(channels: list[Ends], way: Way) -> None:
    """Whoever selects serves all the channels, those too of which he has had nothing yet."""
    receivers = begun(channels)
    for number, (sender, receiver) in enumerate(channels):
        sender.send(number)
        arrived(receiver, 1)
    got = []

    def handle(given: tuple[Channel[Any], Any]) -> None:
        got.append(given[1])
        receivers[0]._open()._stop.begin("the test stops")

    thread = in_thread(way.serve, handle, *receivers)
    thread.join(10)
    assert not thread.is_alive()
    assert got == [0]


def test_a_broken_channel(pair: Pair, way: Way) -> None:
    """It gives what it brought, then raises and names itself; the others' messages stay."""
    broken, theirs = pair.channel(4)
    fine = Channel._of(pair.main.make("fine", 4))
    pair.main.register("fine", fine._open())
    theirs.send("last words")
    wait_until(lambda: "fine" in pair.port.names())
    pair.child.get("fine")
    selected = way.call(broken, fine, timeout=10)
    assert way.next(selected) == (broken, "last words")
    fine._open().receiving.on_data(pack_text(0, ["a", "b"]))
    pair.lose_child()
    got: list[Any] = []
    raised: dict[str | None, ChannelBroken] = {}
    while len(got) < 2 or "channel-1" not in raised:  # Which of the two ends first is not said.
        try:
            got.append(way.next(selected)[1])
        except ChannelBroken as error:
            raised[error.channel] = error
    assert got == ["a", "b"]
    assert set(raised) <= {"channel-1", "fine"}
    assert "exited with code 9" in str(raised["channel-1"])


# ------------------------------------------------------------- mistakes


@pytest.mark.parametrize("call", [select, async_select])
def test_bad_arguments(pair: Pair, call: Any) -> None:
    """They are refused by the call, before anything is waited for."""
    ours, _ = pair.channel(4)
    other, _ = pair.channel(4)
    with pytest.raises(ValueError, match="at least one"):
        call()
    with pytest.raises(ValueError, match="at least one"):
        call(timeout=1)
    for wrong in ("channel-1", None, [ours], ours._open()):
        with pytest.raises(TypeError, match=r"takes channels"):
            call(ours, wrong)
    with pytest.raises(ValueError, match=r"channel-1.*twice"):
        call(ours, other, ours)
    with pytest.raises(ValueError, match=r"channel-1.*twice"):
        call(ours, Channel._of(pair.main.get("channel-1")))
    for timeout, error in ((-1, ValueError), (float("nan"), ValueError), ("1", TypeError)):
        with pytest.raises(error, match="timeout"):
            call(ours, timeout=timeout)
    with pytest.raises(NotConnected):
        call(Channel())
    ours.on_receive()(lambda data: None)
    with pytest.raises(ChannelModeError, match=r"channel-1.*on_receive"):
        call(other, ours)
    assert waiting(ours, other) == [0, 0]


def test_a_selected_end_takes_no_callbacks(channels: list[Ends], way: Way) -> None:
    """To select from an end is to receive from it; callbacks that come first are found."""
    (_, one), (_, other), _ = channels
    with pytest.raises(ChannelTimeout):
        way.next(way.call(one, timeout=0))
    with pytest.raises(ChannelModeError, match=r"is read with receive\(\)"):
        one.on_receive()(lambda data: None)
    selected = way.call(one, other)
    other.on_receive()(lambda data: None)
    with pytest.raises(ChannelModeError, match="on_receive"):
        way.next(selected)
    assert waiting(one, other) == [0, 0]


def test_a_select_is_a_receive_to_whoever_observes(channels: list[Ends], way: Way) -> None:
    """The NoneBot mixin learns that a hook serves channels, and when it waits."""
    (_, one), (_, other), _ = channels
    seen: list[bool] = []
    token = receive_observer.set(seen.append)
    try:
        with pytest.raises(ChannelTimeout):
            way.next(way.call(one, other, timeout=0))
    finally:
        receive_observer.reset(token)
    assert seen == [False, True]


def test_with_real_processes(tmp_path: Path, environment: dict[str, str]) -> None:
    """A main process selects from two children; one of them ends meanwhile."""
    with running_program(tmp_path, environment, "selecting") as bot:
        assert bot.wait() == 0
        assert bot.found(r"^ends sent \[0, 1, 2\]")
        assert bot.found("^served")
        assert not bot.found("Traceback|^more")

"""Threads of the main process that send without a pause: what is gathered, and when it leaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.ends import bursts
from liteyuki_core.errors import ChannelClosed, ChannelTimeout
from tests.conftest import wait_until
from tests.pair import Pair, in_thread, run_async
from tests.program import Environment, running_program, went_well

KINDS: dict[str, Callable[[int], Any]] = {
    "text": str,
    "object": lambda number: (number, "x" * 50),
    "bytes": lambda number: number.to_bytes(4, "big"),
    "nul": lambda number: f"{number}\0",
    "long text": lambda number: f"{number}" + "长" * 5_000,
    "long": lambda number: bytes([number % 256]) * 300_000,
}
KINDS["mixed"] = lambda number: list(KINDS.values())[number % 6](number)


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every message of a thread of the main process gathered, and nobody look for long."""
    monkeypatch.setattr(bursts, "_STREAK", 0)
    monkeypatch.setattr(bursts, "_PAUSE", 3600.0)
    monkeypatch.setattr(bursts, "_GATHER_SECONDS", 1.0)


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody look for long at what was gathered."""
    monkeypatch.setattr(bursts, "_GATHER_SECONDS", 1.0)


@pytest.fixture
def alone(eager: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have nobody look at all at what was gathered: something else must pass it on."""
    release = threading.Event()
    monkeypatch.setattr(bursts, "sleep", lambda _: release.wait())
    yield
    release.set()


def gathered(pair: Pair, channel: Channel[Any]) -> int:
    """Return how many messages of threads wait for others."""
    with pair.main.lock:
        return len(channel._open().sending._pending)


@pytest.mark.parametrize("kind", list(KINDS))
def test_all_comes_in_order(pair: Pair, capacity: int, kind: str) -> None:
    """Whatever is sent, and whatever room there is."""
    ours, theirs = pair.channel(capacity)
    make = KINDS[kind]
    count = 60 if kind in ("long", "mixed") else 600
    sending = in_thread(lambda: [ours.send(make(number), 10) for number in range(count)])
    assert [theirs.receive(10) for _ in range(count)] == [make(number) for number in range(count)]
    sending.join(10)


def test_a_burst_is_gathered_and_leaves_by_itself(pair: Pair) -> None:
    """Nobody has to send again. Then the thread that has passed it on sleeps."""
    ours, theirs = pair.channel()
    came: list[int] = []
    take = theirs._open().receiving.on_data
    theirs._open().receiving.on_data = (  # type: ignore[method-assign]
        lambda batch: (came.append(batch.count), take(batch))[1]
    )
    for number in range(500):
        ours.send(number)
    assert [theirs.receive(10) for _ in range(500)] == list(range(500))
    assert max(came) > 8
    assert sum(came) == 500
    found = pair.main.turns.bursts
    assert found is not None
    wait_until(lambda: not found._awake and not found._ends, "its thread sleeps")


def test_what_is_sent_alone_leaves_at_once(pair: Pair, slow: None) -> None:
    """Also several messages, if each is an answer to one that came."""
    ours, theirs = pair.channel()
    for number in range(20):
        ours.send(number)
        assert gathered(pair, ours) == 0
        assert theirs.receive(10) == number
        theirs.send(number)
        assert ours.receive(10) == number


def test_a_thread_that_waits_has_sent_all(pair: Pair, alone: None) -> None:
    """Else it would wait for the answer to something that waits here."""
    ours, theirs = pair.channel()
    answering = in_thread(lambda: [theirs.send(theirs.receive(10)) for _ in range(20)])
    for number in range(20):
        ours.send(number)
    assert gathered(pair, ours) > 0
    assert [ours.receive(10) for _ in range(20)] == list(range(20))
    answering.join(10)


def test_a_close_passes_on(pair: Pair, alone: None) -> None:
    """The other side gets all that was sent before."""
    ours, theirs = pair.channel()
    for number in range(20):
        ours.send(number)
    assert gathered(pair, ours) == 20
    ours.close()
    assert list(theirs) == list(range(20))
    with pytest.raises(ChannelClosed):
        ours.send("over")


def test_the_end_of_the_process_passes_on(alone: None) -> None:
    """What was sent before the main process stops is with the child."""
    pair = Pair()
    ours, theirs = pair.channel()
    for number in range(20):
        ours.send(number)
    closing = in_thread(pair.main.close, 5)
    assert [theirs.receive(10) for _ in range(20)] == list(range(20))
    closing.join(10)
    pair.close()


@pytest.mark.parametrize("room", [1, 2, 20])
def test_a_full_channel_passes_on(pair: Pair, alone: None, room: int) -> None:
    """Who waits for room does not wait for a message that was never sent."""
    ours, theirs = pair.channel(room)
    for number in range(room):
        ours.send(number)
    with pytest.raises(ChannelTimeout):
        ours.send("over", 0)
    assert ours.stats()["sent"] == room
    waiting = in_thread(ours.send, "last", 10)
    assert [theirs.receive(10) for _ in range(room)] == list(range(room))
    with pytest.raises(ChannelTimeout):
        theirs.receive(0.01)  # So the last before it counts as handled, and there is room.
    waiting.join(10)
    assert not waiting.is_alive()
    ours.close()
    assert list(theirs) == ["last"]


def test_threads_and_loops_take_turns(pair: Pair, alone: None) -> None:
    """A message of a loop leaves as always, after all that threads have sent before it."""
    ours, theirs = pair.channel()
    for number in range(3):
        ours.send(number)
    in_thread(ours.send, 3).join(10)
    assert gathered(pair, ours) == 4

    async def send() -> None:
        for number in range(4, 8):
            await ours.async_send(number)

    run_async(send())
    assert [theirs.receive(10) for _ in range(8)] == list(range(8))


def test_an_answer_leaves_before_the_acknowledgement(pair: Pair, alone: None) -> None:
    """A sync callback answers in a thread: its answers go with what says that it has ended."""
    ours, theirs = pair.channel()

    @ours.on_receive()
    def answer(data: int) -> None:
        ours.send(data)

    theirs.send("question")
    assert theirs.receive(10) == "question"
    wait_until(lambda: theirs.stats()["acknowledged"] == 1)


def test_the_other_side_is_gone(pair: Pair, alone: None) -> None:
    """The next send raises, and nothing is gathered for nobody."""
    ours, theirs = pair.channel()
    ours.send("first")
    ours._open().flush()
    assert theirs.receive(10) == "first"
    ours.send("second")
    theirs.close()
    wait_until(lambda: ours._open().gone is not None)
    with pytest.raises(ChannelClosed):
        ours.send("third")


def test_many_threads_on_many_channels(pair: Pair) -> None:
    """Each channel keeps the order of each thread."""
    channels = [pair.channel(32) for _ in range(5)]
    got: list[list[tuple[int, int]]] = [[] for _ in channels]

    def send(thread: int) -> None:
        for number in range(500):
            channels[(number + thread) % 5][0].send((thread, number), 20)

    def receive(at: int) -> None:
        got[at] += [channels[at][1].receive(20) for _ in range(300)]

    threads = [in_thread(send, thread) for thread in range(3)]
    threads += [in_thread(receive, at) for at in range(5)]
    for thread in threads:
        thread.join(30)
    for some in got:
        assert len(some) == 300
        for thread in range(3):
            numbers = [number for sender, number in some if sender == thread]
            assert numbers == sorted(numbers)


def test_a_loop_that_is_blocked_holds_up_no_thread(pair: Pair) -> None:
    """What threads have gathered leaves although no loop turns."""
    ours, theirs = pair.channel()
    release, blocked = threading.Event(), threading.Event()

    async def block() -> None:
        await ours.async_send("of the loop")
        await ours.async_send("of the loop")
        blocked.set()
        release.wait(20)

    loop = in_thread(asyncio.run, block())
    blocked.wait(10)
    for number in range(100):
        ours.send(number)
    try:
        assert [theirs.receive(10) for _ in range(102)][2:] == list(range(100))
    finally:
        release.set()
        loop.join(10)


def test_children_gather_nothing(pair: Pair, eager: None) -> None:
    """They may end at any line, and then what they have sent is still to come."""
    ours, theirs = pair.channel()
    for number in range(20):
        theirs.send(number)
        assert theirs._open().sending._pending == []
    assert [ours.receive(10) for _ in range(20)] == list(range(20))


def test_a_child_that_exits_has_sent(tmp_path: Path, environment: Environment) -> None:
    """Whatever it sent without a pause, before `os._exit` on the next line."""
    with running_program(tmp_path, environment, "last_words:exiting") as bot:
        went_well(bot)

"""What a link or a child's life leaves behind when it has ended: nothing, without the collector."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.loop.worker import Threads
from liteyuki_core.comm.wire import frames, words
from liteyuki_core.comm.wire.endpoint import connection_pair
from liteyuki_core.comm.wire.link import Link
from tests.conftest import wait_until
from tests.pair import Pair, run_async
from tests.program import Environment, running_program, went_well


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collector: what a circle of references holds stays."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def is_gone(*references: weakref.ref[Any]) -> bool:
    return all(reference() is None for reference in references)


@pytest.mark.parametrize("clean", [False, True])
def test_an_ended_link_leaves_nothing(uncollected: None, clean: bool) -> None:
    """Of main's side nothing, of the child's no buffers, also where a loop has read it."""
    pair = Pair()
    ours, theirs = pair.channel(64)

    @ours.on_receive()
    async def callback(data: object) -> None:
        await ours.async_send(data)

    async def converse(end: Channel[Any]) -> None:
        for number in range(200):  # A loop is lent the reading meanwhile.
            await end.async_send(number)
            while await end.async_receive(20) != number:
                pass  # What was in hand when the one before was killed comes again.

    for _ in range(3):
        run_async(converse(theirs))
        theirs.send(bytes(1 << 19))
        assert len(theirs.receive(20)) == 1 << 19
        peer, port = pair.peer, pair.port
        kept = peer, peer.link, peer.link._reader, peer.link._decoder, port._link._decoder
        left = [weakref.ref(thing) for thing in kept]
        del peer, port, kept
        (pair.restart_child if clean else pair.kill_child)()
        theirs = Channel._of(pair.child.get(str(theirs.name)))
        wait_until(partial(is_gone, *left), "what has ended is gone")
    pair.close()


@pytest.mark.parametrize(
    "end",
    [b"nonsense" * 4, b"", words.encode(words.Close(), 7)[0], "a bug"],
    ids=["broken", "closed", "frame", "bug"],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_link_lets_go_of_who_listens(uncollected: None, end: Any) -> None:
    """Whatever its end is; so it may be held by who listens."""

    class Listens:
        def __init__(self) -> None:
            self.ends: list[str | None] = []
            ours, self.theirs = connection_pair()
            self.link = Link(
                ours, "x", max_message_bytes=1 << 20, on_frames=self.take, on_end=self.ends.append
            )

        def take(self, arrived: list[frames.Frame]) -> list[Any]:
            if end == "a bug":
                raise ZeroDivisionError
            return []

    listens = Listens()
    listens.link.start()
    sent = end if isinstance(end, bytes) else words.encode(words.Close(), 7)[0]
    listens.theirs.connection.sendall(sent)
    listens.theirs.close()
    ends = listens.ends
    wait_until(partial(bool, ends), "its end")
    wait_until(lambda: "liteyuki-reader-x" not in {t.name for t in threading.enumerate()})
    left = weakref.ref(listens.link), weakref.ref(listens)
    del listens, ends
    assert is_gone(*left)


def test_what_a_thread_has_raised_is_not_kept(uncollected: None) -> None:
    """An error leads to the frames that it went through, and they not back to it."""
    threads = Threads()
    kept: list[weakref.ref[Any]] = []

    class Thing:
        pass

    def raises() -> None:
        thing = Thing()
        kept.append(weakref.ref(thing))
        raise ValueError("raised in a thread")

    async def use() -> None:
        for _ in range(3):
            with pytest.raises(ValueError, match="raised in a thread"):
                await threads.run(raises)

    run_async(use())
    threads.close()
    wait_until(lambda: is_gone(*kept), "what was on its stack is gone")


def test_a_life_that_has_ended_leaves_nothing(tmp_path: Path, environment: Environment) -> None:
    """A child that is killed, crashes or is restarted, again and again: memory does not grow."""
    with running_program(tmp_path, environment, "lives") as bot:
        went_well(bot)

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
from tests.process.test_supervision import Environment, program
from tests.program import running, went_well


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
    program(
        tmp_path,
        """
def echo():
    for data in active_channel:
        active_channel.send(data)


if __name__ == "__main__":
    import gc
    import weakref

    from liteyuki_core.comm.wire.decoder import Decoder
    from liteyuki_core.comm.wire.link import Link
    from liteyuki_core.comm.hub.link_peer import LinkPeer
    from liteyuki_core.process.group import Group
    from liteyuki_core.process.health import Watch
    from liteyuki_core.process.life import Life
    from liteyuki_core.process.output import Output
    from liteyuki_core.errors import ChannelError
    from liteyuki_core.process.report import Report

    kinds = Decoder, Link, LinkPeer, Group, Life, Output, Report, Watch
    made = []

    def follow(kind):
        begin = kind.__init__

        def begin_and_note(self, *args, **kwargs):
            made.append(weakref.ref(self))
            begin(self, *args, **kwargs)

        kind.__init__ = begin_and_note

    for kind in kinds:
        follow(kind)
    gc.disable()
    bot = LiteyukiBot()
    bot.add_process("w", echo, restart=RestartPolicy(max_restarts=100, backoff=0.01))
    bot.add_process("none", "no.such:module", restart=RestartPolicy("never"))
    channel = get_channel("w-active")

    def living():
        kept = [thing for note in made if (thing := note()) is not None]
        return sorted(type(thing).__name__ for thing in kept)

    async def use():
        await bot.wait_ready("w", 20)
        for number in range(100):
            await channel.async_send(number)
            while await channel.async_receive(20) != number:
                pass  # What was in hand when the one before was killed comes again.

    async def act():
        w = bot.processes["w"]
        await until(lambda: bot.processes["none"].state is ProcessState.FAILED, "no start")
        await use()
        for turn in range(2):
            if turn % 2:
                bot.restart_process("w")
            else:
                os.kill(w.pid, signal.SIGTERM)
            await until(lambda: w.restarts == turn + 1, "a restart")
            await use()
            await until(lambda: len(living()) <= len(kinds), lambda: f"only one: {living()}")
        bot.stop_process("w")
        await until(lambda: w.state is ProcessState.STOPPED, "its end")
        try:
            channel.receive_nowait()  # What was received last is handled.
        except ChannelError:
            pass
        await until(lambda: not living(), lambda: f"none: {living()}")

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)

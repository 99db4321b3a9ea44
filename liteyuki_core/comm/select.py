"""Receiving from several channels at once, fairly.

Invariants. Between two calls nothing waits and nothing is kept but the order of turns. A message
is taken from an end only by the call that returns it. While a call waits, its waiter stands in
the queue of every end; when it ends in whatever way, it stands in none, and an end that
had woken it for a message it did not take wakes the next. A channel that has given a message
goes to the end of the row, so that none that has some waits longer than a turn of each other.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from time import monotonic
from typing import Any

from ..errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelTimeout,
    WouldBlockLoop,
)
from .channel import Channel, check_timeout, receive_observer
from .ends.receiving import Receiving
from .loop.receiver import Receiver, current, of_thread
from .loop.steps import Steps, W, async_wait, async_waiter, wait
from .loop.waiter import SyncWaiter, Waiter


def select(
    *channels: Channel[Any], timeout: float | None = None
) -> Iterator[tuple[Channel[Any], Any]]:
    """Iterate over `(channel, data)` of whichever channels have messages, in turn.

    Ends when all of them are closed and everything is received. Waits for each message up to
    `timeout` seconds (None: for ever); on a thread that runs an event loop it does not wait:
    `WouldBlockLoop`. Asking for the next message acknowledges the one before. To leave the loop
    loses nothing, and after an error the same iterator can be asked again.

    Raises `ValueError` for no channel or one twice, `TypeError`, `ChannelModeError` and
    `NotConnected` at once; the iterator `ChannelTimeout`, `WouldBlockLoop` and, when all that a
    broken channel brought is received and its turn comes, `ChannelBroken`.
    """
    return _Select(channels, timeout)


def async_select(
    *channels: Channel[Any], timeout: float | None = None
) -> AsyncIterator[tuple[Channel[Any], Any]]:
    """Do the same as `select` for `async for`, on any event loop.

    Cancelled, it has lost nothing. Raises what `select` does, but never `WouldBlockLoop`.
    """
    return _AsyncSelect(channels, timeout)


class _Selection:
    """The channels that are not yet drained and closed, in the order of their turns."""

    def __init__(self, channels: tuple[Channel[Any], ...], timeout: float | None) -> None:
        if not channels:
            raise ValueError("select() of no channels would never end: name at least one")
        for channel in channels:
            if not isinstance(channel, Channel):
                raise TypeError(f"select() takes channels, not {type(channel).__name__}")
        self._timeout = check_timeout(timeout)
        self._channels = deque((channel, channel._open().receiving) for channel in channels)
        self._given: tuple[Receiving, Receiver] | None = None
        self._serves: Receiver | None = None
        """Who was given a message last, and counts as one that serves all the channels."""
        self._waits_at: list[Receiving] = []
        seen = set()
        for _, end in self._channels:
            if end in seen:
                raise ValueError(f"channel {end.name} is given to select() twice")
            seen.add(end)
            end.check_receives()
        self._processes = list({end.lock: end for end in seen}.values())
        """One of the ends for each process that has some: that is one, but for tests."""

    def _begin(self) -> Callable[[bool], None] | None:
        """Acknowledge what was given last, for now the next is asked for; return who observes."""
        self._acknowledge()
        observer = receive_observer.get()
        if observer is not None:
            observer(False)
        return observer

    def _acknowledge(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            end, who = given
            end.handed.handled(who)

    def _take(
        self, who: Receiver, waiter: Waiter | None = None
    ) -> tuple[Channel[Any], Receiving, Any] | None:
        """Return a channel, its end and a message of it, not yet rebuilt, or None for none yet.

        A waiter that waits nowhere yet is left in the queue of every end that was asked in vain;
        one that does leaves them. Raises `ChannelClosed` when no channel is left.
        """
        waits = bool(self._waits_at)
        asked: list[Receiving] = []
        # In one go, so that an end asks the hub for a message once, and not for one too many.
        for each in self._processes:
            each.lock.acquire()
        try:
            return self._ask(who, None if waits else waiter, asked)
        finally:
            if waits and waiter is not None:
                asked += self._remove_waiter(waiter)
            for end in asked:
                end.balance()
            for each in self._processes:
                each.lock.release()
            for each in self._processes:
                each.pump()

    def _ask(
        self, who: Receiver, waiter: Waiter | None, asked: list[Receiving]
    ) -> tuple[Channel[Any], Receiving, Any] | None:
        channels = self._channels
        for _ in range(len(channels)):
            channel, end = channels[0]
            asked.append(end)
            try:
                message = end.ask(who)
            except ChannelClosed:
                channels.popleft()
                continue
            except ChannelBroken:
                channels.rotate(-1)
                raise
            channels.rotate(-1)
            if message is not None:
                if who != self._serves:
                    self._serves = who
                    for _, each in channels:
                        each.handed.serve(who)
                self._given = end, who
                return channel, end, message[1]
            if waiter is not None:
                end.add_waiter(waiter)
                self._waits_at.append(end)
        if not channels:
            raise ChannelClosed("all selected channels are closed")
        return None

    def _remove_waiter(self, waiter: Waiter) -> list[Receiving]:
        ends, self._waits_at = self._waits_at, []
        for end in ends:
            end.remove_waiter(waiter)
        return ends

    def _note_receiver(self, who: Receiver) -> None:
        if self._channels:
            end = self._channels[0][1]
            if not end.received_by_target:
                end.note_receiver(who)

    def _until_message(
        self,
        new_waiter: Callable[[], W],
        who: Receiver,
        deadline: float | None,
        observer: Callable[[bool], None] | None,
    ) -> Steps[W, tuple[Channel[Any], Receiving, Any] | None]:
        """Wait for a message and return it, or None where another receiver was quicker."""
        waiter = new_waiter()
        if observer is not None:
            observer(True)
        try:
            found = self._take(who, waiter)
            if found is None:
                if not (yield waiter, None if deadline is None else deadline - monotonic()):
                    raise self._timed_out()
                found = self._take(who, waiter)
            return found
        finally:
            self._stop_waiting(waiter)

    def _stop_waiting(self, waiter: Waiter) -> None:
        """Wait nowhere any more."""
        for each in self._processes:
            each.lock.acquire()
        for end in self._remove_waiter(waiter):
            end.balance()
        for each in self._processes:
            each.lock.release()
            each.pump()

    def _rebuild(
        self, found: tuple[Channel[Any], Receiving, Any]
    ) -> tuple[Channel[Any], Any] | None:
        """Return what is given to the user; None, and a line in the log, where that can't be."""
        channel, end, payload = found
        rebuilt, data = end.rebuild(payload)
        if rebuilt:
            return channel, data
        self._acknowledge()
        return None

    def _timed_out(self) -> ChannelTimeout:
        names = [end.name for _, end in self._channels]
        return ChannelTimeout(
            f"select of {', '.join(names[:10])}{', ...' * (len(names) > 10)}: no message came "
            f"within {self._timeout:g} s",
            names[0] if len(names) == 1 else None,
        )


class _Select(_Selection):
    def __iter__(self) -> _Select:
        return self

    def __next__(self) -> tuple[Channel[Any], Any]:
        observer = self._begin()
        deadline = None if self._timeout is None else monotonic() + self._timeout
        who = of_thread()
        while True:
            self._note_receiver(who)
            try:
                found = self._take(who)
                if found is None:
                    found = wait(self._until_message(_blocking_waiter, who, deadline, observer))
            except ChannelClosed:
                raise StopIteration from None
            if found is not None and (given := self._rebuild(found)) is not None:
                return given


class _AsyncSelect(_Selection):
    def __aiter__(self) -> _AsyncSelect:
        return self

    def __anext__(self) -> Coroutine[Any, Any, tuple[Channel[Any], Any]]:
        return self._next(current())

    async def _next(self, caller: Receiver | None) -> tuple[Channel[Any], Any]:
        observer = self._begin()
        deadline = None if self._timeout is None else monotonic() + self._timeout
        who = caller or of_thread()
        while True:
            self._note_receiver(who)
            try:
                found = self._take(who)
                if found is None:
                    found = await async_wait(
                        self._until_message(async_waiter(), who, deadline, observer)
                    )
            except ChannelClosed:
                raise StopAsyncIteration from None
            if found is not None and (given := self._rebuild(found)) is not None:
                return given


def _blocking_waiter() -> SyncWaiter:
    if _get_running_loop() is not None:
        raise WouldBlockLoop(
            "select() would stop this thread's event loop until a message comes; use "
            "`async for channel, data in async_select(...)` here"
        )
    return SyncWaiter()

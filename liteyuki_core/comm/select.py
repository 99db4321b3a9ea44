"""Receiving from several channels at once, round robin.

An iterator owns the order of its channels, and each call owns its waiter.

Invariants:

- between two calls nothing waits; only the order of the channels and the last receiver are kept
- a message is taken from an end only by the call that returns it
- while a call waits, its waiter is in the queue of every end; when the call ends in any way, its
  waiter is in no queue, and an end that had woken it for a message which it did not take wakes the
  next
- a channel that has given a message goes to the end of the row, so a channel with messages waits
  until each other channel has given at most one
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
    """Iterate over `(channel, data)` of the channels that have messages, round robin.

    Ends when all channels are closed and all messages are received. Waits for each message up to
    `timeout` seconds (None: for ever). On a thread that runs an event loop it does not wait but
    raises `WouldBlockLoop`. Asking for the next message acknowledges the one before. Leaving the
    `for` loop loses nothing. After an error the same iterator can be asked again.

    Raises at once: `ValueError` for no channel or for a channel that is given twice, `TypeError`,
    `ChannelModeError`, `NotConnected`. The iterator raises `ChannelTimeout`, `WouldBlockLoop`, and
    `ChannelBroken` when it comes to a broken channel whose messages are all received.
    """
    return _Select(channels, timeout)


def async_select(
    *channels: Channel[Any], timeout: float | None = None
) -> AsyncIterator[tuple[Channel[Any], Any]]:
    """Do the same as `select` for `async for`, on any event loop.

    A cancellation loses nothing. Raises what `select` raises, but never `WouldBlockLoop`.
    """
    return _AsyncSelect(channels, timeout)


class _Selection:
    """The channels that are not yet closed and drained, in the order in which they are asked."""

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
        """The receiver that was given the last message. It counts as one of all channels."""
        self._waits_at: list[Receiving] = []
        """The ends that have the waiter in their queues."""
        seen = set()
        for _, end in self._channels:
            if end in seen:
                raise ValueError(f"channel {end.name} is given to select() twice")
            seen.add(end)
            end.check_receives()
        self._processes = list({end.lock: end for end in seen}.values())
        """One end for each process that has ends here: one process, except in tests."""

    def _begin(self) -> Callable[[bool], None] | None:
        """Acknowledge the message that was given last. Return the observer of this receive."""
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
        """Return a channel, its end and its message, not yet rebuilt. None if there is none yet.

        A waiter that is in no queue yet is added to the queue of every end that has no message. A
        waiter that is in the queues is removed from all. Raises `ChannelClosed` if all channels
        are closed and drained.
        """
        waits = bool(self._waits_at)
        asked: list[Receiving] = []
        # Under all locks, so that an end asks the hub for one message, and not for one too many.
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
        """Wait for a message and return it. None if another receiver was quicker."""
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
        """Remove the waiter from all queues."""
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
        """Return the channel and the rebuilt data. Log an error and return None if it can't be."""
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

"""Receiving from several channels at once, fairly.

Invariants. Between two calls nothing waits and nothing is kept but the order of turns. A message
is taken from an end only by the call that returns it. While a call waits, its waiter stands in
the queue of every end; when it ends in whatever way, it stands in none, and an end that
had woken it for a message it did not take wakes the next. A channel that has given a message
goes to the end of the row, so that none that has some waits longer than a turn of each other.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from time import monotonic
from typing import Any

from ..errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelTimeout,
    WouldBlockLoop,
)
from .channel import Channel, check_timeout, receive_observer
from .end import End
from .waiter import AsyncWaiter, SyncWaiter, Waiter


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


class _Turns:
    """The channels that are not yet drained and closed, in the order of their turns."""

    def __init__(self, channels: tuple[Channel[Any], ...], timeout: float | None) -> None:
        if not channels:
            raise ValueError("select() of no channels would never end: name at least one")
        for channel in channels:
            if not isinstance(channel, Channel):
                raise TypeError(f"select() takes channels, not {type(channel).__name__}")
        self._timeout = check_timeout(timeout)
        self._left = deque((channel, channel._open()) for channel in channels)
        self._given: End | None = None
        seen = set()
        for _, end in self._left:
            if end in seen:
                raise ValueError(f"channel {end.name} is given to select() twice")
            seen.add(end)
            end.check_receives()
        self._contexts = {end.context for end in seen}

    def _begin(self) -> Callable[[bool], None] | None:
        """Acknowledge what was given last, for now the next is asked for; return who observes."""
        given, self._given = self._given, None
        if given is not None:
            given.handled()
        observer = receive_observer.get()
        if observer is not None:
            observer(False)
        return observer

    def _take(self, waiter: Waiter | None = None) -> tuple[Channel[Any], End, Any] | None:
        """Return a channel, its end and a message of it, not yet rebuilt, or None for none yet.

        A waiter is left in the queue of every end that was asked in vain. Raises
        `ChannelClosed` when no channel is left.
        """
        left = self._left
        try:
            for _ in range(len(left)):
                channel, end = left[0]
                try:
                    message = end.ask_or_wait(waiter)
                except ChannelClosed:
                    left.popleft()
                    continue
                except ChannelBroken:
                    left.rotate(-1)
                    raise
                left.rotate(-1)
                if message is not None:
                    self._given = end
                    return channel, end, message[1]
        finally:
            for context in self._contexts:
                context.port.pump()
        if not left:
            raise ChannelClosed("all selected channels are closed")
        return None

    def _leave(self, waiter: Waiter) -> None:
        for _, end in self._left:
            end.leave(waiter)

    def _rebuild(self, found: tuple[Channel[Any], End, Any]) -> tuple[Channel[Any], Any] | None:
        """Return what is given to the user; None, and a line in the log, where that can't be."""
        channel, end, payload = found
        rebuilt, data = end.rebuild(payload)
        if rebuilt:
            return channel, data
        end.handled()
        return None

    def _timed_out(self) -> ChannelTimeout:
        names = [end.name for _, end in self._left]
        return ChannelTimeout(
            f"select of {', '.join(names[:10])}{', ...' * (len(names) > 10)}: no message came "
            f"within {self._timeout:g} s",
            names[0] if len(names) == 1 else None,
        )


class _Select(_Turns):
    def __iter__(self) -> _Select:
        return self

    def __next__(self) -> tuple[Channel[Any], Any]:
        observer = self._begin()
        deadline = None if self._timeout is None else monotonic() + self._timeout
        while True:
            self._note_receiver()
            try:
                found = self._take()
                if found is None:
                    found = self._wait(deadline, observer)
            except ChannelClosed:
                raise StopIteration from None
            if found is not None and (given := self._rebuild(found)) is not None:
                return given

    def _wait(
        self, deadline: float | None, observer: Callable[[bool], None] | None
    ) -> tuple[Channel[Any], End, Any] | None:
        if _get_running_loop() is not None:
            raise WouldBlockLoop(
                "select() would stop this thread's event loop until a message comes; use "
                "`async for channel, data in async_select(...)` here"
            )
        if observer is not None:
            observer(True)
        waiter = SyncWaiter()
        try:
            found = self._take(waiter)
            left = None if deadline is None else deadline - monotonic()
            if found is None and not waiter.wait(left):
                raise self._timed_out()
            return found
        finally:
            self._leave(waiter)

    def _note_receiver(self) -> None:
        if self._left:
            end = self._left[0][1]
            if not end.received_by_main_thread:
                end.note_receiver()


class _AsyncSelect(_Turns):
    def __aiter__(self) -> _AsyncSelect:
        return self

    async def __anext__(self) -> tuple[Channel[Any], Any]:
        observer = self._begin()
        deadline = None if self._timeout is None else monotonic() + self._timeout
        while True:
            try:
                found = self._take()
                if found is None:
                    found = await self._wait(deadline, observer)
            except ChannelClosed:
                raise StopAsyncIteration from None
            if found is not None and (given := self._rebuild(found)) is not None:
                return given

    async def _wait(
        self, deadline: float | None, observer: Callable[[bool], None] | None
    ) -> tuple[Channel[Any], End, Any] | None:
        if observer is not None:
            observer(True)
        waiter = AsyncWaiter(asyncio.get_running_loop())
        try:
            found = self._take(waiter)
            if found is None:
                left = None if deadline is None else deadline - monotonic()
                if not await waiter.wait(left):
                    raise self._timed_out()
            return found
        finally:
            self._leave(waiter)

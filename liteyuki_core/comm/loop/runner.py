"""Feeds the callbacks of one channel end.

A runner takes messages in order in a *pump*, a task that calls callback after callback. As
long as callbacks end without waiting for anything, one pump serves them all. When one waits,
its pump waits with it, and the next turn of the loop has another pump take the messages
behind it. So callbacks start in message order, each inside a task, and none waits for another,
while a task is paid for only where there is something to wait for. The last pump to find
nothing to do is parked and takes the next message that comes.

Invariants. Only the loop's thread touches a runner's state. Pumps that are not parked are at
most as many as the callbacks have places for, and only a pump takes a message off the inbox: what
there is no place for stays there. A filter is waited for before the next message is looked at, and
its callbacks have started. A pump serves at most `_TURN` messages, then the loop gets its turn. A
pump whose context variables a callback has changed takes no other message. What was handled is
acknowledged within 64 messages (256 where two milliseconds are enough for those) or 5 ms,
whatever the callback after it waits for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from time import monotonic
from typing import Any

from ... import log
from .acknowledgements import AFTER, QUICK_MOST, Acknowledgements, due
from .callbacks import CallbackLoop, Callbacks, Registration, Unbegun
from .receiver import in_callback
from .source import Source
from .wakes import Resumption

_TURN = 256
"""Messages a pump serves in one turn of the loop."""


class _Run:
    """Consecutive messages that one pump takes; `first` is the first not yet noted as handled.

    `messages` are those of the batch behind them, the last one numbered `end - 1`. The next
    batch may begin with another number.
    """

    __slots__ = ("end", "first", "messages")

    def __init__(self, first: int, messages: deque[Any]) -> None:
        self.first = first
        self.messages = messages
        self.end = first + len(messages)


class Runner:
    """Feeds the callbacks of one channel end. Used by the loop's thread alone."""

    def __init__(self, source: Source, loop: CallbackLoop) -> None:
        self._source = source
        self._loop = loop
        self._callbacks = Callbacks(source, loop, self._begin_deciding, self._decided)
        self._messages: deque[Any] = deque()
        self._end = 0
        """The number that comes after those of `messages`."""
        self._prompt = False
        """Whether the source wants to know of those when each begins, and at once when it ends."""
        self._run: _Run | None = None
        """What the pump that took the last message has taken without waiting in between."""
        worth_sending = min(QUICK_MOST * 3 // 4, max(1, source.capacity // 4))
        self._acknowledgements = Acknowledgements(worth_sending)
        self._timer: asyncio.TimerHandle | None = None
        self._pumps: set[asyncio.Task[None]] = set()
        self._called: asyncio.Task[None] | None = None
        """The pump that is about to take messages; no other is called until it has looked."""
        self._parked: tuple[asyncio.Task[Any], Resumption] | None = None
        """The pump that is parked, and what wakes it."""
        self._deciding = False
        """Whether it is not known yet which callbacks a message goes to, or they have not started.
        """
        self._successor = False
        """Whether a `step` is scheduled."""
        self._unwanted = False
        """Whether what no callback was given yet is to be given back."""
        self._turn = 0
        """Changes with everything that a pump has to look at before it takes the next message."""
        self.detached = False
        """Set where the end is closed, before a last `step`."""

    def add(self, registration: Registration) -> None:
        """Add a callback. Called under the source's lock, from any thread."""
        self._callbacks.add(registration)
        self._turn += 1

    def hold(self, registration: Registration, decide: Callable[[], object]) -> None:
        """Take no message until a callback is released, for which `decide` is called soon.

        Called under the source's lock, from any thread.
        """
        self._callbacks.hold(registration, decide)
        self._turn += 1

    def release(self, registration: Registration) -> bool:
        """Hold back no longer; return whether it was held. Called as `hold` is."""
        return self._callbacks.release(registration)

    def step(self) -> None:
        """Call a pump where there are messages, none is about to take them, and it has a place."""
        self._successor = False
        if self._loop.stopping:
            return
        if self._unwanted:
            self._unwanted = False
            self._give_back()
        if self._loop.pausing:
            return
        if self._loop.may_be_wrong:
            self._loop.check_loop(self._source)
        if self._callbacks.undecided and not self.detached and not self._decide():
            return
        self._turn += 1
        self._note()
        if (
            self._called is None
            and not self._deciding
            and len(self._pumps) - (self._parked is not None) < self._callbacks.limit
            and self._refill()
        ):
            self._call_pump()
        elif self.detached and self._parked is not None:
            (_, waking), self._parked = self._parked, None
            waking.resume()

    def call_back(self) -> None:
        """Have the next `step` give back what no callback was given. Under the source's lock."""
        self._unwanted = True

    def _give_back(self) -> None:
        count = len(self._messages)
        if count:
            self._end -= count
            self._messages.clear()
            if self._run is not None and self._run.messages is self._messages:
                self._run.end = self._end
            self._source.return_unbegun(self._end, count)

    def _decide(self) -> bool:
        """Have decided what is due; return whether nothing is undecided any more."""
        left = self._callbacks.decide()
        if left > 0:
            self._loop.loop.call_later(left, self.step)
        return not self._callbacks.undecided

    def _begin_deciding(self) -> None:
        self._deciding = True
        self._turn += 1

    def _decided(self) -> None:
        self._deciding = False
        self._continue()

    def backlog(self) -> int:
        """Return how many messages were taken and not yet given to a callback; from any thread."""
        return len(self._messages)

    def busy(self) -> bool:
        """Return whether messages are handled here or are about to be."""
        if self._loop.pausing:
            return bool(self.pumps())
        return bool(self.pumps() or self._messages or self._source.has_messages())

    def pause(self) -> None:
        """Have pumps look up before they take the next message: there may be no next one."""
        self._turn += 1

    def pumps(self) -> set[asyncio.Task[None]]:
        """Return the tasks that handle messages."""
        return self._pumps - {self._parked[0]} if self._parked else set(self._pumps)

    def cancel(self) -> None:
        """Stop every pump; what they were handling stays unacknowledged."""
        self._note()
        self._flush()
        for task in tuple(self._pumps):
            task.cancel()
        # The loop may not run again, and another be bound.
        if self._parked is not None:
            self._pumps.discard(self._parked[0])
        self._parked = self._called = None

    def _call_pump(self) -> None:
        # It takes its first message when it runs: until then another, which comes back from
        # waiting, may take it, and they still start in order.
        if self._parked is not None:
            (task, waking), self._parked = self._parked, None
            self._called = task
            waking.resume()
        else:
            # Whoever woke this runner may have context variables set.
            self._called = _in_callback().run(self._new_pump)

    def _new_pump(self) -> asyncio.Task[None]:
        name = f"liteyuki-callbacks-{self._source.name}"
        task = self._loop.loop.create_task(self._pump(), name=name)
        self._pumps.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._pumps.discard(task)
        if self._called is task:
            self._called = None
        if self._loop.stopping:
            return
        if not task.cancelled() and (error := task.exception()) is not None:
            log.logger.opt(exception=error).error(f"{self._source.title}: a pump failed")
        self._continue()

    def _continue(self) -> None:
        if not self._successor:
            self._successor = True
            self._loop.loop.call_soon(self.step)

    def _refill(self) -> bool:
        while not self._messages:
            if self._source.idle:
                return False
            taken = self._source.take()
            if taken is None:
                return False
            first, self._messages, self._prompt = taken
            self._end = first + len(self._messages)
        return True

    def _attend(self) -> bool:
        """Look at what seldom changes; return whether there is a message to take."""
        self._note()
        taking = not self._loop.pausing and not self._callbacks.undecided
        if self._deciding or not taking or not self._refill():
            return False
        self._turn += 1
        if len(self._messages) > 1 or not self._source.idle:
            self._continue()
        return True

    async def _pump(self) -> None:
        context = copy_context()
        changed = False
        while True:
            self._called = None
            served = 0
            while not changed and served < _TURN and self._attend():
                count, changed = await self._serve(context)
                served += count
            ending = self._loop.ending or self._loop.pausing
            if changed or self._parked is not None or ending or self.detached:
                return
            if served >= _TURN:
                self._continue()
            await self._park()

    async def _park(self) -> None:
        task, waking = asyncio.current_task(), Resumption(self._loop.loop)
        assert task is not None
        parked = self._parked = task, waking
        try:
            await waking
        finally:
            if self._parked is parked:
                self._parked = None

    async def _serve(self, context: Context) -> tuple[int, bool]:
        """Serve messages of one batch until something has changed.

        They are consecutive: another pump that takes some begins a turn of its own. Returns how
        many they were, and whether context variables are others now than in `context`.
        """
        turn, messages, callback = self._turn, self._messages, self._callbacks.call
        prompt, loads = self._prompt, self._source.loads
        first = self._end - len(messages)
        run = self._run = _Run(first, messages)
        count = 0
        changed = False
        begun = monotonic()
        try:
            while messages:
                data = messages.popleft()
                if prompt:
                    self._source.begin(first + count)
                    turn = -1  # One at a time.
                if type(data) is not str:
                    try:
                        data = loads(data) if type(data) is bytes else self._source.load(data)
                    except Exception as error:
                        self._source.not_rebuilt(error)
                        count += 1
                        continue
                try:
                    await callback(data)
                except Unbegun:
                    break
                except BaseException as error:
                    self._callbacks.raised(error)
                if self._loop.stopping:
                    break  # It was broken off, whatever it made of that.
                count += 1
                try:
                    if copy_context() != context:
                        changed = True
                        break
                except Exception:  # Values that can't be compared are not the same ones.
                    changed = True
                    break
                if self._turn != turn or (not count & 3 and due(count, monotonic() - begun)):
                    break
        finally:
            if self._run is run:
                self._run = None
            self._handled(run.first, first + count, monotonic() - begun, at_once=prompt)
        return count, changed

    def _note(self) -> None:
        """Acknowledge what the newest run has finished: all but the message at which it waits."""
        run = self._run
        if run is not None:
            at = run.end - len(run.messages) - 1
            self._handled(run.first, at)
            run.first = at

    def _handled(
        self, first: int, stop: int, seconds: float = 0.0, *, at_once: bool = False
    ) -> None:
        """Acknowledge the messages from `first` to before `stop`, with others or now."""
        if (
            self._acknowledgements.add(first, stop - first, seconds)
            or at_once
            or self._loop.stopping
        ):
            self._flush()
        elif self._timer is None and stop > first:
            self._timer = self._loop.loop.call_later(AFTER, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._acknowledgements.count:
            self._source.acknowledge(self._acknowledgements.take())


def _in_callback() -> Context:
    context = Context()
    context.run(in_callback.set, True)
    return context

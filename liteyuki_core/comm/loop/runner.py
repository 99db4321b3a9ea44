"""Feeds the callbacks of one channel end.

A runner takes messages in order in a *pump*, a task that calls callback after callback. While
callbacks end without waiting, one pump serves all messages. If a callback waits, its pump waits
with it. In the next turn of the loop another pump takes the messages behind it. So callbacks start
in message order, each inside a task, and no callback waits for another. A new task is needed only
if a callback waits. The last pump that finds nothing to do is parked, and takes the next message
that comes.

Ownership. The dispatcher makes the runner and wakes it with `step`. The runner owns its pumps, its
`Callbacks` and its acknowledgements, which only the loop's thread uses unless a method says
otherwise.

Invariants:

- there are at most `Callbacks.limit` pumps that are not parked
- a batch is taken from the source only when a pump may take its messages; others stay there
- before the next message is looked at, the filters of the one before have answered, and the
  callbacks that they chose have started
- a pump serves at most `_TURN_MESSAGES` messages in a turn, then other tasks of the loop run
- a pump whose context variables a callback has changed takes no other message
- messages that were handled are acknowledged at the latest when there are 64 (or 256, if these took
  less than 2 ms), or after 5 ms, whatever the next callback waits for
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from time import monotonic
from typing import Any

from ... import log
from ...language import say
from .acknowledgements import QUICK_MOST, Acknowledgements, due
from .callbacks import CallbackLoop, Callbacks, Registration, Unbegun
from .receiver import in_callback
from .source import Source
from .wakes import Resumption

_TURN_MESSAGES = 256
"""How many messages a pump serves at most in one turn of the loop."""


class _Run:
    """Consecutive messages that one pump takes. `first` is the first not yet noted as handled.

    `messages` are the messages of the same batch that come after them. The last of these has the
    number `end - 1`. The next batch may begin with any number.
    """

    __slots__ = ("end", "first", "messages")

    def __init__(self, first: int, messages: deque[Any]) -> None:
        self.first = first
        self.messages = messages
        self.end = first + len(messages)


class Runner:
    """Feeds the callbacks of one channel end. Only the loop's thread uses it, unless noted."""

    def __init__(
        self, source: Source, loop: CallbackLoop, kind: type[Callbacks] = Callbacks
    ) -> None:
        self._source = source
        self._loop = loop
        self._callbacks = kind(source, loop, self._begin_deciding, self._decided)
        self._messages: deque[Any] = deque()
        self._end = 0
        """The number after the last of `_messages`."""
        self._prompt = False
        """Whether `_messages` are PROMPT: the source is told when each begins, and at once when it
        was handled."""
        self._run: _Run | None = None
        """The messages that the pump which took the last one has taken without waiting between."""
        worth_sending = min(QUICK_MOST * 3 // 4, max(1, source.capacity // 4))
        self._acknowledgements = Acknowledgements(worth_sending)
        self._put_off = False
        """Whether the loop will call `pass_on`."""
        self._pumps: set[asyncio.Task[None]] = set()
        self._called: asyncio.Task[None] | None = None
        """The pump that is about to take messages. No other is called until it has looked."""
        self._parked: tuple[asyncio.Task[Any], Resumption] | None = None
        """The pump that is parked, and what resumes it."""
        self._deciding = False
        """Whether the callbacks of a message are still being chosen, or have not started yet."""
        self._step_scheduled = False
        """Whether a `step` is scheduled."""
        self._unwanted = False
        """Whether messages that no callback was given yet must be given back."""
        self._version = 0
        """Is counted up whenever a pump must look (`_attend`) before it takes its next message."""
        self.detached = False
        """Whether the end is closed. It is set before a last `step`."""

    @property
    def name(self) -> str:
        """The name of the channel."""
        return self._source.name

    @property
    def tells_end(self) -> bool:
        """Whether a callback is to learn that no message will come any more."""
        return self._callbacks.tells_end

    def add(self, registration: Registration) -> None:
        """Add a callback. From any thread, under the source's lock."""
        self._callbacks.add(registration)
        self._version += 1

    def hold(self, registration: Registration, decide: Callable[[], object]) -> None:
        """Take no message until a callback is released. `decide` is called soon, and does that.

        From any thread, under the source's lock.
        """
        self._callbacks.hold(registration, decide)
        self._version += 1

    def release(self, registration: Registration) -> bool:
        """Undo `hold`. Return whether the callback was held. From any thread, under the lock."""
        return self._callbacks.release(registration)

    def step(self) -> None:
        """Call a pump if there are messages, none is about to take them, and one more may run."""
        self._step_scheduled = False
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
        self._version += 1
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
        elif self._callbacks.tells_end and not (self.detached or self.pumps()):
            self._tell_end()

    def _tell_end(self) -> None:
        """Call the callbacks that are to learn that no message will come any more, if it is so."""
        found = self._source.ended()
        if found is None or self._messages:
            return
        which, error = found
        registrations = self._callbacks.to_tell(which)
        if registrations:
            telling = self._callbacks.tell_end(registrations, error)
            _in_callback().run(self._new_task, telling, "liteyuki-on-end")

    def call_back(self) -> None:
        """Have the next `step` give back messages that no callback was given.

        From any thread, under the source's lock.
        """
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
        """Decide the callbacks that are due. Return whether none is undecided any more."""
        remaining = self._callbacks.decide()
        if remaining > 0:
            self._loop.loop.call_later(remaining, self.step)
        return not self._callbacks.undecided

    def _begin_deciding(self) -> None:
        self._deciding = True
        self._version += 1

    def _decided(self) -> None:
        self._deciding = False
        self._continue()

    def backlog(self) -> int:
        """Return how many messages were taken and not yet given to a callback. From any thread."""
        return len(self._messages)

    def busy(self) -> bool:
        """Return whether messages are being handled, or will be."""
        if self._loop.pausing:
            return bool(self.pumps())
        return bool(self.pumps() or self._messages or self._source.has_messages())

    def pause(self) -> None:
        """Have pumps look before they take another message: none may be begun any more."""
        self._version += 1

    def pumps(self) -> set[asyncio.Task[None]]:
        """Return the tasks that handle messages."""
        return self._pumps - {self._parked[0]} if self._parked else set(self._pumps)

    def cancel(self) -> None:
        """Cancel every pump. The messages that they were handling stay unacknowledged."""
        self._note()
        self._flush()
        self._put_off = False
        for task in tuple(self._pumps):
            task.cancel()
        # This loop may not run again, and another loop may be bound.
        if self._parked is not None:
            self._pumps.discard(self._parked[0])
        self._parked = self._called = None

    def _call_pump(self) -> None:
        # The pump takes its first message when it runs. Until then another pump, whose wait is
        # over, may take that message. Callbacks start in order all the same.
        if self._parked is not None:
            (task, waking), self._parked = self._parked, None
            self._called = task
            waking.resume()
        else:
            # The code that woke this runner may have set context variables.
            self._called = _in_callback().run(self._new_pump)

    def _new_pump(self) -> asyncio.Task[None]:
        return self._new_task(self._pump(), "liteyuki-callbacks")

    def _new_task(self, work: Coroutine[Any, Any, None], kind: str) -> asyncio.Task[None]:
        task = self._loop.loop.create_task(work, name=f"{kind}-{self._source.name}")
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
            log.logger.opt(exception=error).error(
                say("{who}: a pump failed", who=self._source.title)
            )
        self._continue()

    def _continue(self) -> None:
        if not self._step_scheduled:
            self._step_scheduled = True
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
        """Look at all that seldom changes. Return whether there is a message to take."""
        self._note()
        taking = not self._loop.pausing and not self._callbacks.undecided
        if self._deciding or not taking or not self._refill():
            return False
        self._version += 1
        if len(self._messages) > 1 or not self._source.idle:
            self._continue()
        return True

    async def _pump(self) -> None:
        context = copy_context()
        changed = False
        task, waking = asyncio.current_task(), Resumption(self._loop.loop)
        assert task is not None
        parked = task, waking
        while True:
            self._called = None
            served = 0
            while not changed and served < _TURN_MESSAGES and self._attend():
                count, changed = await self._serve(context)
                served += count
            ending = self._loop.ending or self._loop.pausing
            if changed or self._parked is not None or ending or self.detached:
                return
            if self._callbacks.tells_end and self._source.ended() is not None:
                return  # Not parked: the step that follows calls what is to learn of it.
            if served >= _TURN_MESSAGES:
                self._continue()
            self._parked = parked
            try:
                await waking
            finally:
                if self._parked is parked:
                    self._parked = None
            waking.renew()

    async def _serve(self, context: Context) -> tuple[int, bool]:
        """Serve consecutive messages of one batch until the pump must look again.

        If another pump takes a message meanwhile, it counts up `_version`, and this pump ends its
        run. Returns how many messages were served, and whether the context variables differ from
        those of `context`.
        """
        version, messages, callback = self._version, self._messages, self._callbacks.call
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
                    version = -1  # Ends the run after this message.
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
                    break  # The callback was broken off, even if it ended without an error.
                count += 1
                try:
                    if copy_context() != context:
                        changed = True
                        break
                except Exception:  # Values that can't be compared count as changed.
                    changed = True
                    break
                if self._version != version or (not count & 3 and due(count, monotonic() - begun)):
                    break
        finally:
            if self._run is run:
                self._run = None
            stop = first + count
            # The last of them has ended only now, so a lone one has not waited for this.
            seconds = monotonic() - begun if stop - run.first > 1 else 0.0
            self._handled(run.first, stop, seconds, at_once=prompt)
        return count, changed

    def _note(self) -> None:
        """Acknowledge what the newest run has handled: all but the message at which it waits."""
        run = self._run
        if run is not None:
            at = run.end - len(run.messages) - 1
            self._handled(run.first, at)
            run.first = at

    def _handled(
        self, first: int, stop: int, seconds: float = 0.0, *, at_once: bool = False
    ) -> None:
        """Acknowledge the messages from `first` to before `stop`: now, or soon with others."""
        if not self._callbacks.acknowledges:
            return
        if (
            self._acknowledgements.add(first, stop - first, seconds)
            or at_once
            or self._loop.stopping
        ):
            self._flush()
        elif not self._put_off and stop > first:
            self._put_off = True
            self._loop.acknowledge_soon(self)

    def pass_on(self) -> bool:
        """Acknowledge what was put off. Return whether to call `pump`."""
        self._put_off = False
        gathered = self._acknowledgements
        return gathered.count > 0 and self._source.acknowledge(gathered.take())

    def pump(self) -> None:
        """Have what this and all other runners have acknowledged written."""
        self._source.pump()

    def _flush(self) -> None:
        gathered = self._acknowledgements
        if gathered.count and self._source.acknowledge(gathered.take()):
            self._source.pump()


def _in_callback() -> Context:
    context = Context()
    context.run(in_callback.set, True)
    return context

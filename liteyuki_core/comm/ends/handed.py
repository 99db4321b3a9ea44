"""The messages that receivers of one end were handed, and when they count as handled.

A message belongs to the thread or task that asked for it. It is acknowledged when that receiver
asks for the next message of this end, or ends. What other receivers do does not acknowledge it. If
a task fails or is cancelled, its message is left behind, and is acknowledged when any receiver asks
next. Until then it counts as not handled, because the whole process may be about to end.

Owned by the end's receiving half. Any thread may call it, under the lock unless a method says
otherwise.

Invariants, under the lock:

- a message's number is with one receiver, in `left_behind`, or in `acknowledgements`, until the
  acknowledgements are passed on
- no receiver in `numbers` has ended
"""

from __future__ import annotations

from asyncio import Task
from functools import partial
from time import monotonic
from typing import Any

from ..loop import receiver
from ..loop.acknowledgements import MOST, QUICK_MOST, Acknowledgements
from ..loop.receiver import Receiver
from ..loop.site import Site
from .port import Port
from .state import State
from .turns import Turns


class Handed:
    """Which receiver has which messages in hand."""

    def __init__(self, state: State, site: Site, port: Port, turns: Turns) -> None:
        self._state = state
        self._number = state.number
        self._site = site
        self._port = port
        self._turns = turns
        self.numbers: dict[Receiver, list[int]] = {}
        """For each receiver that has received here and has not ended: the messages in its hand."""
        self.left_behind: list[int] = []
        """The messages of tasks that have failed or were cancelled."""
        self.acknowledgements = Acknowledgements(
            max(MOST, min(QUICK_MOST * 3 // 4, state.capacity // 4))
        )
        self._since = 0.0
        """When the first of the acknowledgements was added."""
        self._attends = False
        """Whether `attend` will be called."""
        self.worth_sending = min(MOST, max(1, state.capacity // 4))
        """From this count on, acknowledgements are passed on when no message is there to take."""
        self._late = False
        """Whether a stop waits no longer. Then a receiver that ends was broken off."""

    def serve(self, who: Receiver) -> list[int]:
        """Add the receiver `who` if it is new; return the list of messages in its hand.

        A receiver that was added gets no more messages once the process stops.
        """
        handed = self.numbers.get(who)
        if handed is None:
            handed = self.numbers[who] = []
            receiver.note(who, self)
        return handed

    def holds(self, who: Receiver) -> bool:
        """Return whether a receiver has a message of this end in hand."""
        return bool(self.numbers.get(who))

    def is_handling(self, idle: set[Receiver]) -> bool:
        """Return whether a receiver that is not idle has a message of this end in hand."""
        return any(
            handed and who not in idle and not receiver.is_idle(who)
            for who, handed in self.numbers.items()
        )

    # ------------------------------------------------------------- acknowledging

    def handled(self, who: Receiver) -> None:
        """Acknowledge the messages in a receiver's hand. Not under the lock."""
        with self._site.lock:
            handed = self.numbers.get(who)
            if handed:
                self.acknowledge(handed)

    def acknowledge(self, handed: list[int]) -> bool:
        """Acknowledge these messages soon, and empty the list.

        Returns whether acknowledgements were passed on now. Then the caller pumps the port.
        """
        gathered = self.acknowledgements
        told = False
        for number in handed:
            count = gathered.count
            if not count:
                self._since = monotonic()
                if not self._attends:
                    self._attends = True
                    self._site.later(self.attend)
            # How long they took matters only when there are many.
            seconds = 0.0 if (count + 1) % MOST else monotonic() - self._since
            if gathered.add(number, 1, seconds):
                self.flush()
                told = True
        handed.clear()
        return told

    def acknowledge_thread(self, who: Receiver) -> None:
        """Acknowledge what the thread has in hand that runs the task `who`.

        Called when that task asks for the first time. If a thread has received and then runs an
        event loop, a task of that loop asks in its place.
        """
        thread = receiver.around(who)
        handed = None if thread is None else self.numbers.get(thread)
        if handed:
            self.acknowledge(handed)

    def acknowledge_idle(self) -> None:
        """Acknowledge what idle threads of pools have in hand.

        Such a thread has returned the message, and another thread or task handles it.
        """
        for who, handed in self.numbers.items():
            if handed and receiver.is_idle(who):
                self.acknowledge(handed)

    def flush(self) -> None:
        """Pass on the acknowledgements. The caller pumps the port."""
        if self.acknowledgements.count:
            self.pass_on(self.acknowledgements.take())

    def attend(self) -> None:
        """Pass on the acknowledgements that were put off. Not under the lock."""
        with self._site.lock:
            self._attends = False
            self.flush()
        self._port.pump()

    def pass_on(self, ranges: list[tuple[int, int]]) -> None:
        """Say that these messages were handled. The caller pumps the port."""
        # The messages that their handling has sent leave first. Otherwise a process that dies now
        # loses the answers to messages that count as handled.
        self._turns.pass_on()
        self._port.acknowledge(self._number, ranges)

    # ------------------------------------------------------------- ending

    def task_ended(self, task: Task[Any]) -> None:
        """Note that a task which has received here has ended. Not under the lock."""
        # `exception()` would mark the error as seen, and asyncio would no longer report it.
        failed = task.cancelled() or getattr(task, "_exception", None) is not None
        self._receiver_ended(task, failed=failed)

    def thread_ended(self, number: int) -> None:
        """Note that a thread which has received here has ended. Safe in a finaliser."""
        self._site.soon(partial(self._receiver_ended, number))

    def _receiver_ended(self, who: Receiver, *, failed: bool = False) -> None:
        with self._site.lock:
            handed = self.numbers.pop(who, None)
            if handed and (failed or self._late):
                self.left_behind += handed
            elif handed and not self._state.closed:
                self.acknowledge(handed)

    def break_off(self) -> None:
        """Note that a stop waits no longer: messages in hand now were not handled."""
        self._late = True

    def finish(self) -> None:
        """Acknowledge all messages, because the end closes. The caller pumps the port."""
        for who, handed in self.numbers.items():
            receiver.forget(who, self)
            self.acknowledge(handed)
        self.numbers.clear()
        self.acknowledge(self.left_behind)
        self.flush()

"""What receivers of one end were handed, and when that counts as handled.

A message belongs to the thread or task that asked for it. It is acknowledged when that one asks for
more here, or ends; not by what others here do. What a task had that was cancelled or failed is left
behind, and acknowledged when anybody asks next: all of this process may be about to end, and then
it was not handled.

Invariants, under the lock: a number is with one receiver, left behind, or among the
acknowledgements, until those are passed on; whoever is in `numbers` has not ended.
"""

from __future__ import annotations

from asyncio import Task
from functools import partial
from typing import Any

from ..loop import receiver
from ..loop.acknowledgements import MOST, Acknowledgements
from ..loop.receiver import Receiver
from ..loop.site import Site
from .port import Port
from .state import State
from .turns import Turns


class Handed:
    """Who has which messages in hand. Under the lock, unless a method says otherwise."""

    def __init__(self, state: State, site: Site, port: Port, turns: Turns) -> None:
        self._state = state
        self._number = state.number
        self._site = site
        self._port = port
        self._turns = turns
        self.numbers: dict[Receiver, list[int]] = {}
        """What was handed to each that has received here and has not ended."""
        self.left_behind: list[int] = []
        self.acknowledgements = Acknowledgements(MOST)
        self.worth_sending = min(MOST, max(1, state.capacity // 4))
        """With so many it pays to pass them on when there is nothing else to do."""
        self._late = False
        """Whether what ends now was broken off by a stop."""

    def serve(self, who: Receiver) -> list[int]:
        """Count `who` as one that serves this channel; return what it has in hand.

        In a stop it gets no more messages.
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
        """Return whether one that is not idle has a message of this end in hand."""
        return any(
            handed and who not in idle and not receiver.is_idle(who)
            for who, handed in self.numbers.items()
        )

    # ------------------------------------------------------------- acknowledging

    def handled(self, who: Receiver) -> None:
        """Acknowledge what a receiver was given last. Not under the lock."""
        with self._site.lock:
            handed = self.numbers.get(who)
            if handed:
                self.acknowledge(handed)

    def acknowledge(self, handed: list[int]) -> None:
        """Acknowledge some of these numbers soon, and forget them."""
        acknowledgements = self.acknowledgements
        for number in handed:
            if acknowledgements.add(number):
                self.flush()
            elif acknowledgements.count == 1:
                self._site.soon(self.attend)
        handed.clear()

    def acknowledge_thread(self, who: Receiver) -> None:
        """Acknowledge what the thread has that runs a task which asks for the first time."""
        # A thread that has received and then runs an event loop asks by what runs there.
        thread = receiver.around(who)
        handed = None if thread is None else self.numbers.get(thread)
        if handed:
            self.acknowledge(handed)

    def acknowledge_idle(self) -> None:
        """Acknowledge what threads of pools have that have nothing to do."""
        # Whoever has a pool's thread receive handles the message elsewhere.
        for who, handed in self.numbers.items():
            if handed and receiver.is_idle(who):
                self.acknowledge(handed)

    def flush(self) -> None:
        """Pass on what is acknowledged; the port is to be pumped."""
        if self.acknowledgements.count:
            self.pass_on(self.acknowledgements.take())

    def attend(self) -> None:
        """Pass on the acknowledgements that were put off. Not under the lock."""
        with self._site.lock:
            self.flush()
        self._port.pump()

    def pass_on(self, ranges: list[tuple[int, int]]) -> None:
        """Say that these were handled; the port is to be pumped."""
        # What was sent in handling these messages leaves first, or a process that dies now
        # would have them count as handled and their answers lost.
        self._turns.pass_on()
        self._port.acknowledge(self._number, ranges)

    # ------------------------------------------------------------- ending

    def task_ended(self, task: Task[Any]) -> None:
        """Learn that a task which has received here has ended. Not under the lock."""
        # What it has raised is looked at like this, for whoever asks for that is to deal with it.
        failed = task.cancelled() or getattr(task, "_exception", None) is not None
        self._receiver_ended(task, failed=failed)

    def thread_ended(self, number: int) -> None:
        """Learn that a thread which has received here has ended. Safe in a finaliser."""
        self._site.soon(partial(self._receiver_ended, number))

    def _receiver_ended(self, who: Receiver, *, failed: bool = False) -> None:
        with self._site.lock:
            handed = self.numbers.pop(who, None)
            if handed and (failed or self._late):
                self.left_behind += handed
            elif handed and not self._state.closed:
                self.acknowledge(handed)

    def break_off(self) -> None:
        """Learn that a stop waits no more: what was not acknowledged by now was not handled."""
        self._late = True

    def finish(self) -> None:
        """Acknowledge all, because the end closes; the port is to be pumped."""
        for who, handed in self.numbers.items():
            receiver.forget(who, self)
            self.acknowledge(handed)
        self.numbers.clear()
        self.acknowledge(self.left_behind)
        self.flush()

"""One conversation: whose turn it is, and who waits there for an answer.

A conversation is one scene of one bot. Its messages are handled one after another: each waits for
its turn, and the turn lasts until every handler that was called for the message has ended or waits
in a prompt. So a handler that waits for an answer does not hold up the others. The answer comes in
a turn of its own, which lasts until the handlers that got it have ended or wait again.

Only LiteyukiBot's loop uses what is here. `Sessions` owns the conversations, and the tasks of runs.

Invariant: a run is at rest when it has ended or waits in a prompt. Only the one who has the turn
takes it out of rest, by an answer, and then keeps the turn until it is at rest again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from ..errors import PromptTimeout
from .event import MessageEvent


class Conversation:
    """The messages of one scene, in order, and the prompts that wait there."""

    def __init__(self, unused: Callable[[], object]) -> None:
        """`unused` is called when no message and no run is in it any more."""
        self._unused = unused
        self.turn = asyncio.Lock()
        """Whoever has it handles a message. Those that wait get it in the order of their coming."""
        self.arrived = 0
        """How many messages have come."""
        self._users = 0
        self.prompts: list[Prompt] = []

    def enter(self) -> None:
        """Note that a message or a run is in it."""
        self._users += 1

    def leave(self) -> None:
        """Note that one is not any more."""
        self._users -= 1
        if not self._users:
            self._unused()

    async def answer(self, event: MessageEvent, number: int) -> bool:
        """Give a message to the prompts that wait for it; return whether there were any.

        The caller has the turn. Waits until the handlers that got the message are at rest. A
        message that came before the question was asked is no answer to it.
        """
        asked = [p for p in self.prompts if p.user == event.user.id and p.after < number]
        for prompt in asked:
            self.prompts.remove(prompt)
            prompt.run.at_rest.clear()
            prompt.answer.set_result(event._for(prompt.run))
        for prompt in asked:
            await prompt.run.at_rest.wait()
        return bool(asked)


class Prompt:
    """A run that waits for a message of `user`, later than the message with the number `after`."""

    def __init__(self, run: Run, user: str, after: int) -> None:
        self.run = run
        self.user = user
        self.after = after
        self.answer: asyncio.Future[MessageEvent] = run.loop.create_future()


class Run:
    """One call of a handler."""

    def __init__(self, conversation: Conversation, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.at_rest = asyncio.Event()
        self._conversation = conversation

    async def prompt(
        self, event: MessageEvent, question: Coroutine[Any, Any, Any] | None, timeout: float | None
    ) -> MessageEvent:
        """Ask `question`, then wait for the next message of the event's user there.

        Raises `PromptTimeout`, and what `question` raises.
        """
        after = self._conversation.arrived
        if question is not None:
            await question
        prompt = Prompt(self, event.user.id, after)
        self._conversation.prompts.append(prompt)
        self.at_rest.set()
        try:
            await asyncio.wait({prompt.answer}, timeout=timeout)
        finally:
            if not prompt.answer.done():
                self._conversation.prompts.remove(prompt)
        if not prompt.answer.done():
            raise PromptTimeout(
                f"user {event.user.id} has not answered in {event.scene} of bot {event.bot.id} "
                f"within {timeout:g} s"
            )
        return prompt.answer.result()

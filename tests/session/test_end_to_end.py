"""Chat over a real OneBot v11 connection, while handlers raise and NoneBot is killed."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from websockets.exceptions import ConnectionClosed

from tests.program import Environment, Program
from tests.session.onebot import address_of, chatting, onebot, text_of

MESSAGES = 1000
CONVERSATIONS = 20
KILLS = 2

ANSWERING = """
    from liteyuki_core.session import on_message

    @on_message(priority=2)
    async def answer(event):
        await event.reply(f"{event.text} is answered")
"""

RAISING = """
    from liteyuki_core.session import on_regex

    @on_regex("0$", priority=1, block=False)
    def raise_on_every_tenth(event):
        raise RuntimeError(f"{event.text} is a tenth")
"""


def pid_of(program: Program, life: int) -> int:
    """Return the pid of one life of the child."""
    return int(program.wait_for_line(r"process nonebot started \(pid (\d+)\)", count=life)[1])


class Resending:
    """An implementation that sends again, when it is connected again, what was not answered.

    It kills NoneBot each time that a part of all messages is answered.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._open = dict.fromkeys(range(MESSAGES))
        self._kill_at = [MESSAGES * (1 + kill) // (1 + KILLS) for kill in range(KILLS)]
        self.answers: dict[int, list[int]] = defaultdict(list)
        """By conversation: the messages that were answered, in order, with each double."""
        self.under_way: dict[tuple[int, int], int] = {}
        """By life and conversation: the last call. When NoneBot was killed it may not have heard
        that the call was done. All calls before it were done: they are made one by one."""

    def run(self) -> None:
        """Go on until every message is answered."""
        for life in range(1, KILLS + 2):
            with (
                onebot(address_of(self._program, life)) as client,
                pytest.raises(ConnectionClosed) if life <= KILLS else nullcontext(),
            ):
                for number in self._open:
                    group = number % CONVERSATIONS
                    client.say(f"message {number}", number=1 + number, group=group)
                while self._open:
                    call = client.take_call()
                    if self._kill_at and MESSAGES - len(self._open) >= self._kill_at[0]:
                        del self._kill_at[0]
                        psutil.Process(pid_of(self._program, life)).kill()
                    number = int(text_of(call).split()[1])
                    group = call["params"]["group_id"]
                    assert group == number % CONVERSATIONS
                    self.answers[group].append(number)
                    self.under_way[life, group] = number
                    self._open.pop(number, None)
                    client.answer(call)


def test_everything_is_answered_in_order(tmp_path: Path, environment: Environment) -> None:
    """Each message once, in order per conversation, with NoneBot killed twice.

    An answer that NoneBot had sent, and whose end it had not yet reported when it was killed, is
    sent again by its successor: at least once. So each kill may double the last answer of a
    conversation, and no other.
    """
    plugins = {"main_plugins/answering.py": ANSWERING, "main_plugins/raising.py": RAISING}
    # Its client is disconnected by each kill.
    with chatting(tmp_path, environment, plugins, LITEYUKI_GATEWAY="false") as program:
        client = Resending(program)
        client.run()
        assert program.stop() == 0
        assert program.found(r"LiteyukiBot has stopped$"), program.output
        tenths = program.found(r"plugin raising: handler raise_on_every_tenth raised RuntimeError")
        assert len(tenths) == MESSAGES // 10
    assert len(client.answers) == CONVERSATIONS
    for group, numbers in client.answers.items():
        assert list(dict.fromkeys(numbers)) == list(range(group, MESSAGES, CONVERSATIONS))
        doubles = Counter(first for first, second in pairwise(numbers) if first == second)
        assert len(numbers) == len(set(numbers)) + doubles.total()
        assert doubles <= Counter(
            client.under_way[life, group]
            for life in range(1, KILLS + 1)
            if (life, group) in client.under_way
        )

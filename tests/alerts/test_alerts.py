"""What becomes an alert, and in which words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from liteyuki_core.accounts import Accounts
from liteyuki_core.alerts import alerts as module
from liteyuki_core.alerts.alerts import Alerts
from liteyuki_core.comm.hub.letters import DeadLetter
from liteyuki_core.comm.wire.batch import pack_text
from liteyuki_core.language import Phrase
from liteyuki_core.process.state import ProcessState
from tests.accounts.told import children
from tests.conftest import DEADLINE


class Sent:
    """Takes alerts in place of `Sender`, which has tests of its own."""

    def __init__(self, *_: Any) -> None:
        self.queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self.forgotten: list[str] = []

    def send(self, subject: str, text: str) -> None:
        self.queue.put_nowait((subject, text))

    def forget(self, subject: str) -> None:
        self.forgotten.append(subject)

    async def next(self) -> tuple[str, str]:
        return await asyncio.wait_for(self.queue.get(), DEADLINE)


class Alerted:
    """Alerts about a child w."""

    def __init__(self, lang: Any, after: float) -> None:
        self.children = children("w")

        async def run(call: Any) -> None:
            call()

        self.accounts = Accounts(lambda account: self.alerts.account(account))
        child = self.children.__getitem__
        self.alerts = Alerts((), after, 20, lang, run, child, self.accounts.newest)
        self.sent: Any = self.alerts._sender

    def enter(self, state: ProcessState) -> None:
        self.children["w"].state = state
        self.accounts.process_state("w", state)
        self.alerts.process_state("w", state, self.accounts)


@pytest.fixture
def alerted(monkeypatch: pytest.MonkeyPatch) -> Alerted:
    """In English, about outages of no time at all."""
    monkeypatch.setattr(module, "Sender", Sent)
    return Alerted("en", 0.0)


async def test_accounts(alerted: Alerted) -> None:
    """OFFLINE and DISCONNECTED have words of their own, and so has the end of both."""
    alerted.accounts.told("w", [("A", "1", "online", "n"), ("A", "2", "online", "")])
    alerted.accounts.told("w", [("A", "1", "offline", "")])
    subject, text = await alerted.sent.next()
    assert subject == "account 1 of A in w"
    assert text == (
        "Account n (1) (A, process w) has been offline for 0 s: it is connected, but not logged in."
    )
    alerted.accounts.told("w", [("A", "1", "online", "")])
    text = "Account n (1) (A, process w) is online again, after 0 s."
    assert await alerted.sent.next() == (subject, text)
    alerted.accounts.told("w", [("A", "2", "disconnected", "")])
    text = "Account 2 (A, process w) has been disconnected for 0 s, though its process runs."
    assert await alerted.sent.next() == ("account 2 of A in w", text)


async def test_a_name_that_has_come_meanwhile(alerted: Alerted) -> None:
    """Is in the alert."""
    alerted.accounts.told("w", [("A", "1", "online", ""), ("A", "1", "offline", "")])
    alerted.accounts.told("w", [("A", "1", "offline", "its name")])
    assert "Account its name (1) (A, process w)" in (await alerted.sent.next())[1]


async def test_a_process_has_failed(alerted: Alerted) -> None:
    """No other state is an alert. What it has written as its last word may be long and odd."""
    for state in ProcessState:
        if state is not ProcessState.FAILED:
            alerted.enter(state)
    assert alerted.sent.queue.empty()
    assert alerted.sent.forgotten == ["process w"], "if it fails after this, that is another time"
    said = "it has said \x1b[2J\n password=hunter2 " + "x" * 1000
    alerted.children["w"].ending = Phrase("{what}: {why}", what=said, why="no port")
    alerted.enter(ProcessState.FAILED)
    subject, text = await alerted.sent.next()
    assert subject == "process w"
    assert text.startswith("Process w has failed and is not started again: it has said  [2J  pass")
    assert "hunter2" not in text
    assert len(text) < 600
    assert text.isprintable()
    alerted.children["w"].ending = None
    alerted.enter(ProcessState.FAILED)
    assert (await alerted.sent.next())[1].endswith("the log says why.")


async def test_too_much_memory(alerted: Alerted) -> None:
    """Without the amount, which is never the same twice."""
    alerted.alerts.memory("w", 512 << 20)
    text = "Process w is restarted: it had more memory than its limit, 512 MB."
    assert await alerted.sent.next() == ("memory of w", text)


async def test_a_dead_letter(alerted: Alerted) -> None:
    """Its channel may have any name."""
    batch = pack_text(0, ["secret text"])
    alerted.alerts.letter(DeadLetter("a\nb", "w, x", 3, batch, lambda *_: True))
    assert await alerted.sent.next() == (
        "channel a b",
        "A message on channel a b is set aside: process w, x has crashed 3 times in a row while it "
        "handled it. See: liteyuki dead-letters",
    )


async def test_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    """As LITEYUKI_LOG_LANG says."""
    monkeypatch.setattr(module, "Sender", Sent)
    alerted = Alerted("zh", 0.0)
    alerted.enter(ProcessState.FAILED)
    assert (await alerted.sent.next())[1] == "进程 w 已失败，不会再自动启动：原因见日志。"

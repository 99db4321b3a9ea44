"""What becomes an alert, and in which words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from liteyuki_core.accounts import Accounts
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

    async def close(self, timeout: float) -> None:
        """There is nothing to be sent."""

    async def next(self) -> tuple[str, str]:
        return await asyncio.wait_for(self.queue.get(), DEADLINE)


class Alerted:
    """Alerts about a child w."""

    def __init__(self, lang: Any, after: float) -> None:
        self.children = children("w")

        self.accounts = Accounts(lambda account: self.alerts.account(account))
        child = self.children.__getitem__
        self.sent = Sent()
        self.alerts = Alerts(self.sent, after, lang, child, self.accounts.newest)

    def enter(self, state: ProcessState) -> None:
        self.children["w"].state = state
        self.accounts.process_state("w", state)
        self.alerts.process_state("w", state, self.accounts)


@pytest.fixture
def alerted() -> Alerted:
    """In English, about outages of no time at all."""
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


async def test_in_chinese() -> None:
    """As LITEYUKI_LOG_LANG says."""
    alerted = Alerted("zh", 0.0)
    alerted.enter(ProcessState.FAILED)
    assert (await alerted.sent.next())[1] == "进程 w 已失败，不会再自动启动：原因见日志。"


class Cluster:
    """A cluster whose server is there, and in which this node tells of others."""

    is_sender = True
    server_is_there = True


async def test_nodes(alerted: Alerted) -> None:
    """One that has vanished and is back; the server; without a cluster there are none."""
    alerted.alerts.node("b", is_gone=True)
    cluster = Cluster()
    alerted.alerts.watch(cluster)
    alerted.alerts.node("b", is_gone=True)
    assert await alerted.sent.next() == (
        "node b",
        "Node b of the cluster has been gone for 0 s: what is sent to it waits.",
    )
    alerted.alerts.node("b", is_gone=False)
    assert await alerted.sent.next() == ("node b", "Node b of the cluster is back, after 0 s.")
    cluster.server_is_there = False
    alerted.alerts.node("c", is_gone=True)
    assert (await alerted.sent.next())[1].startswith("The NATS server of the cluster has been away")
    cluster.server_is_there = True
    assert (await alerted.sent.next())[1].startswith("The NATS server of the cluster is back")
    assert (await alerted.sent.next())[1].startswith("Node c of the cluster has been gone")
    await alerted.alerts.close(0)


async def test_alerts_of_another_node(alerted: Alerted) -> None:
    """They say whose they are, are sent again if they come again, and have no secrets."""
    for _ in range(2):
        alerted.alerts.of_other("c", "process x", "Process x\n has failed: token=abcdef0123456789")
    subject = "node c: process x"
    assert await alerted.sent.next() == (subject, "Node c: Process x  has failed: token=***")
    assert await alerted.sent.next() == (subject, "Node c: Process x  has failed: token=***")
    assert alerted.sent.forgotten == [subject, subject]

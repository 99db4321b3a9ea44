"""What nodes tell of themselves: processes and accounts, when they have changed and not before.

Tests cluster/presence.py, cluster/book.py and cluster/member.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime, timedelta, timezone

import pytest

from liteyuki_core.accounts import Account, AccountState
from liteyuki_core.cluster.member import Member, MemberProcess
from liteyuki_core.cluster.presence import Told
from liteyuki_core.process.state import ChildProcess, ProcessState
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import OneNode

NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)


class Nodes:
    """Nodes `a` and `b`, of which `b` has a process and an account."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.a, self.b = (OneNode(url, name, "present") for name in ("a", "b"))
        stack.callback(self.a.close)
        self.end_b = stack.enter_context(ExitStack())
        self.end_b.callback(self.b.close)
        self.child = ChildProcess("bot", "pkg:bot")
        self.account = Account("OneBot V11", "123", "bot", AccountState.ONLINE, NOW, "Yuki")
        self.b.node.presence.describe = lambda: Told([self.child], [self.account], True)
        self.changed()
        wait_until(lambda: "b" in self.a.node.members(), "a knows of b")

    def changed(self) -> None:
        """Say that something of `b` has changed."""
        self.b.node.presence.changed()

    def seen(self) -> Member:
        """Return `b` as `a` sees it."""
        return self.a.node.members()["b"]


@pytest.fixture
def nodes(nats: NatsServer) -> Iterator[Nodes]:
    """Two nodes in this process."""
    with ExitStack() as stack:
        yield Nodes(nats.url, stack)


def test_processes_and_accounts(nodes: Nodes) -> None:
    """Another node sees them as they are, each change soon."""
    wait_until(lambda: nodes.seen().processes)
    assert nodes.seen().processes == (MemberProcess("bot", ProcessState.STOPPED, None, 0, None),)
    assert nodes.seen().accounts == (nodes.account,)
    assert nodes.seen().sends_alerts
    assert not nodes.a.node.members()["a"].sends_alerts
    nodes.child.state, nodes.child.pid, nodes.child.restarts = ProcessState.RUNNING, 77, 3
    nodes.child.started_at = NOW
    nodes.changed()
    begun = time.monotonic()
    wait_until(lambda: nodes.seen().processes[0].pid)
    assert time.monotonic() - begun < 2
    assert nodes.seen().processes == (MemberProcess("bot", ProcessState.RUNNING, 77, 3, NOW),)
    assert nodes.b.node.members()["b"].processes == nodes.seen().processes


def test_nodes_that_start_together(nats: NatsServer) -> None:
    """Each sees at once that the other one runs: it listens before its entry can be read."""
    with ExitStack() as stack:
        watching = OneNode(nats.url, "watching", "together")
        stack.callback(watching.close)
        seen: list[tuple[str, bool]] = []
        watching.node.on_member = lambda member: seen.append((member.name, member.runs))
        names = [f"n{number}" for number in range(6)]
        with ThreadPoolExecutor() as threads:
            nodes = list(threads.map(lambda name: OneNode(nats.url, name, "together"), names))
        for node in nodes:
            stack.callback(node.close)
        for node in nodes:
            others = {name: member.runs for name, member in node.node.members().items()}
            assert False not in others.values(), (node.name, others)
        wait_until(lambda: len(seen) == len(names))
        assert all(runs for _, runs in seen)


def test_a_node_that_has_stopped(nodes: Nodes) -> None:
    """It has no processes any more, and its accounts are disconnected."""
    wait_until(lambda: nodes.seen().accounts)
    nodes.end_b.close()
    wait_until(lambda: not nodes.seen().runs)
    member = nodes.seen()
    assert member.has_stopped
    assert member.processes == ()
    assert [each.state for each in member.accounts] == [AccountState.DISCONNECTED]


def test_a_new_life(nats: NatsServer) -> None:
    """What the life before has told is not shown of it."""
    with ExitStack() as stack:
        nodes = Nodes(nats.url, stack)
        wait_until(lambda: nodes.seen().accounts)
        nodes.end_b.close()
        wait_until(lambda: not nodes.seen().runs)
        again = OneNode(nats.url, "b", "present")
        stack.callback(again.close)
        wait_until(lambda: nodes.seen().runs)
        wait_until(lambda: not nodes.seen().accounts)
        assert not nodes.seen().has_stopped


def test_an_idle_node_writes_nothing(nodes: Nodes, nats: NatsServer) -> None:
    """But its heartbeat, also where it is told that something may have changed."""
    wait_until(lambda: nodes.seen().processes)
    before = asyncio.run(written(nats.url))
    for _ in range(3):
        nodes.changed()
        beats = nodes.seen().seen
        wait_until(lambda beats=beats: nodes.seen().seen > beats + timedelta(seconds=0.7))
    assert asyncio.run(written(nats.url)) == before
    nodes.child.restarts += 1
    nodes.changed()
    wait_until(lambda: nodes.seen().processes[0].restarts)
    assert asyncio.run(written(nats.url)) > before


async def written(url: str) -> int:
    """Return the number of the last entry with what `b` has told."""
    import nats

    client = await nats.connect(url)
    try:
        found = await client.jetstream().get_last_msg("KV_ly_present", "$KV.ly_present.about.b")
        assert found.seq is not None
        return found.seq
    finally:
        await client.close()


def test_too_many_accounts(nodes: Nodes) -> None:
    """So many are told as an entry has room for: the node is seen all the same."""
    many = [
        Account("a" * 900, str(number), "bot", AccountState.ONLINE, NOW, "n" * 900)
        for number in range(1000)
    ]
    nodes.b.node.presence.describe = lambda: Told([nodes.child], many, True)
    nodes.changed()
    wait_until(lambda: 100 < len(nodes.seen().accounts) < 1000)


def test_the_server_is_away(nodes: Nodes, nats: NatsServer) -> None:
    """What has changed meanwhile is told when it is back."""
    wait_until(lambda: nodes.seen().processes)
    nats.kill()
    nodes.child.restarts = 5
    nodes.changed()
    nats.start()
    wait_until(lambda: [each.restarts for each in nodes.seen().processes] == [5])


def test_an_entry_that_is_none_of_ours(nodes: Nodes, nats: NatsServer) -> None:
    """It changes nothing, and the next one of the node counts again."""
    wait_until(lambda: nodes.seen().processes)
    for entry in (b"\xff", b"{}", b'{"node": "b", "epoch": "x", "processes": [{"name": 1}]}'):
        asyncio.run(write(nats.url, entry))
    nodes.child.restarts = 9
    nodes.changed()
    wait_until(lambda: nodes.seen().processes[0].restarts == 9)


async def write(url: str, entry: bytes) -> None:
    """Write what is no entry where `b` writes."""
    import nats

    client = await nats.connect(url)
    try:
        await client.jetstream().publish("$KV.ly_present.about.b", entry)
    finally:
        await client.close()

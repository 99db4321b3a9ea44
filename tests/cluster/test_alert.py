"""Which node sends the alerts of others, and what it takes.

Tests cluster/alert.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from liteyuki_core.cluster.alert import Post
from liteyuki_core.cluster.presence import Told
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import OneNode

Taken = list[tuple[str, str, str]]


class Nodes:
    """Nodes `a`, `b` and `c`; `b` and `c` send alerts."""

    def __init__(self, url: str, stack: ExitStack) -> None:
        self.ends: dict[str, ExitStack] = {}
        self.posts: dict[str, Post] = {}
        self.taken: dict[str, Taken] = {"b": [], "c": []}
        for name in ("a", "b", "c"):
            node = OneNode(url, name, "alerted")
            self.ends[name] = stack.enter_context(ExitStack())
            self.ends[name].callback(node.close)
            self.posts[name] = Post(node.node)
            if name in self.taken:
                node.node.presence.describe = lambda: Told([], [], True)
                node.node.presence.changed()
                taken = self.taken[name]
                self.posts[name].serve(lambda *alert, taken=taken: taken.append(alert))
        wait_until(lambda: self.senders() == ["b"])

    def senders(self) -> list[str]:
        """Return who holds itself for the one that sends."""
        return [name for name, post in self.posts.items() if post.is_sender]

    def give(self, subject: str = "s", text: str = "t") -> bool | None:
        """Have `a` give an alert away."""
        return asyncio.run(self.posts["a"].send(subject, text))


@pytest.fixture
def nodes(nats: NatsServer) -> Iterator[Nodes]:
    """Three nodes in this process."""
    with ExitStack() as stack:
        yield Nodes(nats.url, stack)


def test_one_of_them_takes_it(nodes: Nodes) -> None:
    """The first by its name; when that has stopped, the next; then nobody for now."""
    wait_until(nodes.give)
    assert nodes.taken == {"b": [("a", "s", "t")] * len(nodes.taken["b"]), "c": []}
    nodes.taken["b"].clear()
    nodes.ends["b"].close()
    wait_until(lambda: nodes.give("s2"))
    assert nodes.taken["b"] == []
    assert ("a", "s2", "t") in nodes.taken["c"]
    nodes.ends["c"].close()
    wait_until(lambda: nodes.give() is False)


def test_nobody_sends_any(nats: NatsServer) -> None:
    """That is something else than a node that does not run."""
    with ExitStack() as stack:
        node = OneNode(nats.url, "a", "silent")
        stack.callback(node.close)
        assert asyncio.run(Post(node.node).send("s", "t")) is None


def test_what_is_too_long(nodes: Nodes) -> None:
    """It is cut."""
    wait_until(lambda: nodes.give("s" * 10_000, "t" * 100_000))
    assert nodes.taken["b"][-1] == ("a", "s" * 500, "t" * 4000)


def test_bytes_of_a_stranger(nodes: Nodes, nats: NatsServer) -> None:
    """They are refused, and nothing is taken."""
    wait_until(nodes.give)
    nodes.taken["b"].clear()
    for question in (
        b"\xff",
        b"[]",
        b'{"node": "a\\n", "subject": "", "text": ""}',
        b'{"node": "a", "subject": 1, "text": ""}',
        b'{"node": "a", "subject": "s", "text": "' + b"x" * 5000 + b'"}',
    ):
        assert asyncio.run(asked(nats.url, question)) == b"refused", question
    assert nodes.taken["b"] == []
    assert nodes.give()


async def asked(url: str, question: bytes) -> bytes:
    """Return what `b` says to somebody."""
    import nats

    client = await nats.connect(url)
    try:
        return (await client.request("ly.alerted.a.alert.b", question, timeout=10)).data
    finally:
        await client.close()

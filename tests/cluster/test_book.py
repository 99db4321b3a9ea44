"""The book: what a node knows of others is right again, whatever the server has forgotten.

Tests cluster/book.py, cluster/following.py.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

from liteyuki_core.comm.storage import SharedMemory
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import OneNode, fill

Two = tuple[OneNode, OneNode]


def test_a_consumer_that_the_server_has_lost(nats: NatsServer, nodes: Two) -> None:
    """The node learns of new channels and of new nodes all the same."""
    first, second = nodes
    nats.delete_consumers(first.node.subjects.book)
    first.make("later").send(1)
    assert second.get("later").receive(20) == 1
    third = OneNode(nats.url, "c", "t")
    try:
        for node in nodes:
            wait_until(lambda node=node: runs(node, "c"), f"{node.name} knows of c")
    finally:
        third.close()
    for node in nodes:
        wait_until(lambda node=node: not runs(node, "c"), f"{node.name} knows that c is gone")


def test_what_is_gone_stays_gone(nats: NatsServer, nodes: Two) -> None:
    """A node whose entry is read again, and is the one that it was, has not come back."""
    first, second = nodes
    third = OneNode(nats.url, "c", "t")
    third.close()
    wait_until(lambda: runs(first, "b"), "a knows of b")
    wait_until(lambda: not runs(first, "c"), "a knows that c is gone")
    told: list[tuple[str, bool]] = []
    first.node.on_member = lambda member: told.append((member.name, member.runs))
    second.vanish()
    wait_until(lambda: ("b", False) in told, "a has told that b is gone")
    told.clear()
    nats.delete_consumers(first.node.subjects.book)
    fourth = OneNode(nats.url, "d", "t")
    try:
        wait_until(lambda: told, "a knows of d")
        assert told == [("d", True)]
    finally:
        fourth.close()


def test_a_book_that_is_deleted(nats: NatsServer, nodes: Two) -> None:
    """Each node writes again what it has: a node that comes then knows of all."""
    first, second = nodes
    made = first.make("jobs")
    got = second.get("jobs")
    first.node.presence.changed()
    nats.ask(f"STREAM.DELETE.{first.node.subjects.book}")
    nats.wait_for_channel("jobs", "t")
    got.send(1)
    assert made.receive(20) == 1
    third = OneNode(nats.url, "c", "t")
    try:
        third.get("jobs").send(2)
        assert made.receive(20) == 2
        for name in ("a", "b"):
            wait_until(lambda name=name: runs(third, name), f"c knows of {name}")
            wait_until(lambda name=name: name in third.node._book.about, f"c knows what {name} has")
    finally:
        third.close()
    second.make("others").send(3)
    assert first.get("others").receive(20) == 3


def test_nobody_is_gone_when_the_server_is_full(tmp_path: Path) -> None:
    """No node can write its entry then, and each answers: it is there."""
    server = NatsServer(tmp_path, max_file="2MB")
    server.start()
    first, second = OneNode(server.url, "a", "t"), OneNode(server.url, "b", "t")
    try:
        for node, other in ((first, "b"), (second, "a")):
            wait_until(lambda node=node, other=other: runs(node, other), f"{node.name} knows it")
        told: list[str] = []
        first.node.on_member = lambda member: told.append(member.name)
        fill(SharedMemory._of(second.context.access), "key")
        known = first.node._book.nodes["b"]

        def is_old() -> bool:
            return datetime.now(timezone.utc) - known.written > timedelta(seconds=12)

        wait_until(is_old, "the entry is old", 60)
        assert first.node._book.nodes["b"] is known, "it was written again"
        assert runs(first, "b")
        assert runs(second, "a")
        assert not told
        SharedMemory._of(first.context.access).clear("key")
        wait_until(lambda: first.node._book.nodes["b"] is not known, "it is written again")
    finally:
        first.close()
        second.close()
        server.close()


def runs(node: OneNode, name: str) -> bool:
    """Return whether another node runs, as far as one knows."""
    member = node.node.members().get(name)
    return member is not None and member.runs

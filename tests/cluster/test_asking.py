"""What one node asks another, and how it learns that there will be no answer.

Tests cluster/asking.py.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from liteyuki_core.cluster.asking import LONGEST_QUESTION
from liteyuki_core.errors import ClusterError, NodeError, NodeGone, NodeNotFound, NodeTimeout
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import OneNode


class Pair:
    """Nodes `a`, which asks, and `b`, which answers what it is asked, backwards."""

    def __init__(self, url: str) -> None:
        self.a, self.b = OneNode(url, "a", "asked"), OneNode(url, "b", "asked")
        self.go_on = threading.Event()
        self.begun = threading.Semaphore(0)
        self.b.node.serve(self.answer)
        wait_until(lambda: "b" in self.a.node.members())

    def answer(self, question: bytes) -> bytes:
        """Answer one question; with "wait" not before `go_on`."""
        self.begun.release()
        if question == b"wait":
            self.go_on.wait(30)
        if question == b"fail":
            raise ValueError("on purpose")
        return question[::-1]

    def ask(self, question: bytes, node: str = "b", timeout: float = 10) -> bytes:
        """Return the answer."""
        return self.a.node.ask(node, question, timeout).result(30)

    def close(self) -> None:
        """End both, if `b` was not ended before."""
        self.go_on.set()
        self.a.close()
        if not self.b.node.closed:
            self.b.close()


@pytest.fixture
def pair(nats: NatsServer) -> Iterator[Pair]:
    """Two nodes in this process."""
    found = Pair(nats.url)
    wait_until(lambda: answers(found))
    yield found
    found.close()


def answers(pair: Pair) -> bool:
    """Return whether `b` answers: it serves soon, and not at once."""
    try:
        return pair.ask(b"abc") == b"cba"
    except (NodeError, ClusterError):
        return False


def test_many_at_a_time(pair: Pair) -> None:
    """Each gets its own answer, and one that takes long holds up no other."""
    slow = pair.a.node.ask("b", b"wait", 30)
    asked = [pair.a.node.ask("b", f"{number:03}".encode(), 10) for number in range(30)]
    assert [each.result(10) for each in asked] == [f"{n:03}"[::-1].encode() for n in range(30)]
    assert not slow.done()
    pair.go_on.set()
    assert slow.result(10) == b"tiaw"


def test_no_such_node(pair: Pair) -> None:
    """It says which there are."""
    with pytest.raises(
        NodeNotFound, match=r"no node of the cluster is named 'c' \(there are: a, b"
    ):
        pair.ask(b"x", "c")
    with pytest.raises(NodeNotFound):
        pair.ask(b"x", "*")


def test_a_node_that_is_not_asked(pair: Pair) -> None:
    """It runs, and nobody answers questions there: that is told at once."""
    begun = time.monotonic()
    with pytest.raises(NodeError, match="node a can't be asked"):
        pair.b.node.ask("a", b"x", 10).result(30)
    assert time.monotonic() - begun < 2


def test_no_answer_in_time(pair: Pair) -> None:
    """As long as it was said, and not longer."""
    with pytest.raises(NodeTimeout, match=r"within 0\.5 s") as caught:
        pair.ask(b"wait", timeout=0.5)
    assert caught.value.node == "b"


def test_it_ends_while_it_is_asked(pair: Pair) -> None:
    """Whoever waits learns it, and whoever asks after that learns it at once."""
    asking = pair.a.node.ask("b", b"wait", 30)
    for _ in range(2):
        assert pair.begun.acquire(timeout=10)
    ending = threading.Thread(target=pair.b.close)
    ending.start()
    with pytest.raises(NodeGone, match="has vanished while it was asked"):
        asking.result(15)
    ending.join()
    with pytest.raises(NodeGone, match="does not run"):
        pair.ask(b"x")
    pair.go_on.set()


def test_what_fails_there(pair: Pair) -> None:
    """It is no answer, and the next question gets one."""
    with pytest.raises(NodeError):
        pair.ask(b"fail")
    assert pair.ask(b"abc") == b"cba"


def test_a_long_question(pair: Pair) -> None:
    """One that is too long is not sent at all."""
    assert len(pair.ask(b"x" * LONGEST_QUESTION)) == LONGEST_QUESTION
    with pytest.raises(NodeError, match="at most"):
        pair.ask(b"x" * (LONGEST_QUESTION + 1))


def test_too_much_at_a_time(pair: Pair) -> None:
    """What is asked beyond a bound is refused at once, and nothing else suffers."""
    asked = [pair.a.node.ask("b", b"wait", 30) for _ in range(64)]
    for _ in range(33):
        assert pair.begun.acquire(timeout=10)
    with pytest.raises(NodeError, match="asked too much"):
        pair.ask(b"x", timeout=5)
    pair.go_on.set()
    assert {each.result(10) for each in asked} == {b"tiaw"}
    assert pair.ask(b"abc") == b"cba"


def test_the_server_is_away(pair: Pair, nats: NatsServer) -> None:
    """It says so at once, and does not wait for the server."""
    nats.kill()
    wait_until(lambda: not pair.a.node.connection.is_there)
    begun = time.monotonic()
    with pytest.raises(ClusterError, match="is gone: nothing can be asked"):
        pair.ask(b"x")
    assert time.monotonic() - begun < 2
    nats.start()
    wait_until(lambda: answers(pair))

"""Peeking at a channel: what is seen of its messages, and that nothing else is changed.

Tests comm/hub/peeks.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.comm.hub.peeks import Passed
from liteyuki_core.comm.queue import Queue
from liteyuki_core.comm.wire.payload import dump
from liteyuki_core.unread import Unread
from tests.conftest import wait_until
from tests.pair import Ends, Pair, in_thread, send_all


@contextmanager
def peeking(pair: Pair, name: str | None) -> Iterator[Unread[Passed]]:
    """Peek at a channel."""
    unread: Unread[Passed] = Unread(1000, 1 << 20)
    pair.hub.peek(str(name), unread)
    yield unread
    pair.hub.unpeek(str(name), unread)
    assert nobody_looks(pair)


def nobody_looks(pair: Pair) -> bool:
    """Return whether every side is as if nobody had ever peeked."""
    routes = list(pair.hub.table.by_key.values())
    sides = [side for route in routes for side in (*route.sides, *(route._requests or ()))]
    return all(side.peek is None for side in sides)


def seen(pair: Pair, unread: Unread[Passed]) -> list[Passed]:
    """Return what has come."""
    with pair.hub.lock:
        return unread.take(10_000)[0]


def in_words(found: list[Passed]) -> list[tuple[int, int, str, str | None]]:
    """Return its messages one by one."""
    return [tuple(message) for passed in found for message in passed.messages()]


def test_both_directions_and_who_has_sent(pair: Pair) -> None:
    """With numbers of each direction's own."""
    ours, theirs = pair.channel()
    with peeking(pair, ours.name) as unread:
        ours.send("轻雪")
        assert theirs.receive(10) == "轻雪"
        theirs.send("b")
        assert ours.receive(10) == "b"
        there, back = seen(pair, unread)
    assert (there.direction, there.sender, there.receiver) == ("out", None, "w")
    assert (back.direction, back.sender, back.receiver) == ("in", "w", None)
    assert in_words([there, back]) == [(0, 6, "text", "轻雪"), (0, 1, "text", "b")]
    assert (there.request, there.redelivered, there.put_back) == (False, False, False)
    assert abs(there.time - back.time) < 20
    ours.send("nobody sees it")
    assert theirs.receive(10) == "nobody sees it"
    assert seen(pair, unread) == []


@pytest.mark.parametrize(
    ("data", "form"),
    [(b"x" * 10, "bytes"), (b"x" * 500_000, "bytes"), ({"a": 1}, "pickle"), (["a" * 300_000], 0)],
    ids=["bytes", "long bytes", "a dict", "a long list"],
)
def test_what_is_no_text_has_a_size(pair: Pair, ends: Ends, data: Any, form: str) -> None:
    """As `stats` counts it; nothing of it is kept."""
    sender, receiver = ends
    with peeking(pair, sender.name) as unread:
        sender.send(data)
        assert receiver.receive(10) == data
        (passed,) = seen(pair, unread)
    ((_, size, shown, text),) = passed.messages()
    assert (shown, text) == (form or "pickle", None)
    assert size == pair.hub.statistics()[str(sender.name)]["bytes"]
    assert passed.batch.buffers == ()


def test_many_at_once(pair: Pair, ends: Ends) -> None:
    """Texts, also with a NUL in them, and others, each with its number."""
    sender, receiver = ends
    some: list[Any] = ["a", "b\0c", "", "d" * 40_000, 1, b"raw", *map(str, range(100))]
    with peeking(pair, sender.name) as unread:
        sending = in_thread(send_all, sender, some)
        assert [receiver.receive(10) for _ in some] == some
        sending.join(10)
        found = in_words(seen(pair, unread))
    assert [number for number, *_ in found] == list(range(len(some)))
    assert [text for *_, text in found] == [
        data if isinstance(data, str) and len(data) < 40_000 else None for data in some
    ]
    assert [size for _, size, *_ in found[:3]] == [1, 3, 0]
    assert found[4][1:3] == (len(dump(1)[0]), "pickle")


def test_what_waits_is_seen_when_it_is_given(pair: Pair) -> None:
    """Once to a process that dies, and again to its successor."""
    ours = Channel._of(pair.main.get("w-active"))
    with peeking(pair, "w-active") as unread:
        ours.send("x")
        wait_until(lambda: pair.hub.statistics()["w-active"]["sent"], "the hub has it")
        assert seen(pair, unread) == []
        assert Channel._of(pair.child.get("w-active")).receive(10) == "x"
        (first,) = seen(pair, unread)
        pair.kill_child()
        assert Channel._of(pair.child.get("w-active")).receive(10) == "x"
        (again,) = seen(pair, unread)
    assert (first.redelivered, again.redelivered) == (False, True)
    assert in_words([first]) == in_words([again])


def test_requests(pair: Pair) -> None:
    """Those too that came before anybody had peeked at any."""
    ours, theirs = pair.channel()
    with peeking(pair, ours.name) as unread:
        theirs.on_request(lambda data: data)
        assert ours.request("ask", 10) == "ask"
        (passed,) = seen(pair, unread)
        assert passed.request
        assert in_words([passed]) == [(0, 3, "text", "ask")]
    with peeking(pair, ours.name) as unread:
        assert ours.request("more", 10) == "more"
        assert in_words(seen(pair, unread)) == [(1, 4, "text", "more")]


def test_a_queue_and_a_name_that_comes_later(pair: Pair) -> None:
    """Whoever makes the channel of that name, and however often."""
    with peeking(pair, "jobs") as unread:
        for job in ("a", "b"):
            queue: Queue[str] = Queue._of(pair.main.queue("jobs", 10))
            theirs: Queue[str] = Queue._of(pair.child.queue("jobs", 10))
            theirs.send(job)
            assert theirs.receive(10) == job
            queue.close()
            theirs.close()
            wait_until(lambda: pair.hub.table.find("jobs") is None)
            (passed,) = seen(pair, unread)
            assert (passed.direction, passed.sender, passed.receiver) == ("queue", "w", "w")


def test_several_peek(pair: Pair) -> None:
    """Each sees all, and ends for itself."""
    ours, theirs = pair.channel()
    with peeking(pair, ours.name) as one:
        two: Unread[Passed] = Unread(10, 10)
        pair.hub.peek(str(ours.name), two)
        ours.send("both")
        assert theirs.receive(10) == "both"
        assert in_words(seen(pair, one)) == in_words(seen(pair, two)) == [(0, 4, "text", "both")]
        pair.hub.unpeek(str(ours.name), two)
        ours.send("one")
        assert theirs.receive(10) == "one"
        assert [text for *_, text in in_words(seen(pair, one))] == ["one"]
        assert seen(pair, two) == []

"""Looking at a channel's messages and at the store's changes, over the control socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.control import Client, ControlError, address, models
from liteyuki_core.control.client import Sent
from liteyuki_core.control.peeking import Peeking, at_channel, at_store
from tests.pair import Pair
from tests.program import Program


def send(channel: str, data: object) -> None:
    """Have main send something."""
    Client().ask("POST", f"/channels/{channel}/send", body={"data": data})


@contextmanager
def following(path: str, **query: Any) -> Iterator[Iterator[Sent]]:
    """Follow a stream."""
    stream = Client().follow(path, query=query)
    try:
        yield stream
    finally:
        stream.close()


def some(stream: Iterator[Sent], count: int) -> list[dict[str, Any]]:
    """Return the next messages or changes."""
    found = [next(stream) for _ in range(count)]
    assert {each.kind for each in found} <= {"message", "change"}
    return [each.data for each in found]


# ------------------------------------------------------------- messages


def test_messages_of_a_channel(bot: Program) -> None:
    """There and back, with what they are and not with what they say."""
    with following("/channels/echo-active/tail") as stream:
        send("echo-active", "轻雪")
        there, back = some(stream, 2)
    assert set(there) == set(models.Message.model_fields)
    assert (there["direction"], there["sender"], there["receiver"]) == ("out", "main", "echo")
    assert (back["direction"], back["sender"], back["receiver"]) == ("in", "echo", "main")
    for message in (there, back):
        assert (message["channel"], message["number"]) == ("echo-active", 0)
        assert (message["kind"], message["form"], message["size"]) == ("message", "text", 6)
        assert message["redelivered"] is False
        assert message["body"] is None
    assert there["time"] <= back["time"]


def test_bodies_are_texts_alone(bot: Program) -> None:
    """They must be asked for; what is pickled is not rebuilt."""
    with following("/channels/echo-active/tail", bodies=True) as stream:
        send("echo-active", "text")
        send("echo-active", {"a": "secret"})
        found = some(stream, 4)
    assert [(each["form"], each["body"]) for each in found if each["direction"] == "out"] == [
        ("text", "text"),
        ("pickle", None),
    ]
    assert all(each["size"] > 0 for each in found)


def test_a_message_that_kills(bot: Program) -> None:
    """It is seen each time that it is given to a process."""
    with following("/channels/fragile-active/tail") as stream:
        send("fragile-active", "die")
        found = some(stream, 3)
        assert {each["receiver"] for each in found} == {"fragile"}
        assert [each["redelivered"] for each in found] == [False, True, True]
        bot.wait_for_line("is set aside")
        (letter,) = Client().ask("GET", "/dead-letters")
        Client().ask("POST", f"/dead-letters/{letter['id']}/put-back")
        (again,) = some(stream, 1)
        assert again["sender"] is None
        assert again["receiver"] == "fragile"


def test_a_channel_that_is_not_there(bot: Program) -> None:
    """It is said at once."""
    with pytest.raises(ControlError, match="no channel is named 'x'") as caught:
        Client().follow("/channels/x/tail")
    assert (caught.value.status, caught.value.kind) == (404, "ChannelNotFound")


def test_a_slow_reader_loses_and_nobody_waits_for_it(bot: Program) -> None:
    """It is told how many, and sees the last."""
    connection, _ = address.connect(20.0)
    with connection:
        connection.sendall(b"GET /channels/work/tail HTTP/1.1\r\nhost: x\r\n\r\n")
        connection.recv(1)
        send("echo-active", "flood")
        bot.wait_for_line("^flooded$", timeout=60)
        text = ""
        connection.settimeout(20)
        while '"number":29999,' not in text[-5000:]:
            text += connection.recv(65536).decode()
    data = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    lost = sum(each.get("lost", 0) for each in data)
    seen = sum("number" in each for each in data)
    assert lost > 1000
    assert lost + seen == 30_000


def test_it_ends_with_the_bot(bot: Program) -> None:
    """Without an error."""
    with following("/channels/echo-active/tail") as stream:
        bot.interrupt()
        assert list(stream) == []
        assert bot.wait() == 0


# ------------------------------------------------------------- the store


def test_changes_of_the_store(bot: Program) -> None:
    """What is set, with its value if that is plain; what is deleted and what has expired."""
    with following("/store-changes", prefix="a/") as stream:
        Client().ask("PUT", "/store/b", body={"value": 1})
        Client().ask("PUT", "/store/a/k", body={"value": {"x": ["轻雪"]}})
        Client().ask("DELETE", "/store/a/k")
        Client().ask("PUT", "/store/a/short", body={"value": 2, "ttl": 0.05})
        is_set, deleted, short, expired = some(stream, 4)
    assert set(is_set) == set(models.Change.model_fields)
    assert (is_set["key"], is_set["plain"], is_set["value"]) == ("a/k", True, {"x": ["轻雪"]})
    assert is_set["size"] > 5
    assert (is_set["deleted"], is_set["expired"]) == (False, False)
    assert (deleted["key"], deleted["deleted"], deleted["expired"]) == ("a/k", True, False)
    assert (deleted["plain"], deleted["value"], deleted["size"]) == (False, None, 0)
    assert (short["key"], short["value"]) == ("a/short", 2)
    assert (expired["key"], expired["deleted"], expired["expired"]) == ("a/short", True, True)


def test_a_value_that_is_no_plain_data_is_not_rebuilt(bot: Program) -> None:
    """Its size is shown. The fixture looks that no code has run."""
    with following("/store-changes") as stream:
        send("echo-active", "custom")
        (change,) = some(stream, 1)
    assert (change["key"], change["plain"], change["value"]) == ("custom", False, None)
    assert change["size"] > 10


# ------------------------------------------------------------- nothing is left


async def test_who_looks_no_more_leaves_nothing(pair: Pair) -> None:
    """The hub and the store are as before, and no timer goes on."""
    ours, theirs = pair.channel()
    route = pair.hub.table.by_name[str(ours.name)]
    shared = SharedMemory._of(pair.child.access)
    peekings: list[Peeking[Any]] = [
        at_channel(pair.hub, str(ours.name)),
        at_store(pair.store, pair.hub.lock, "a"),
    ]
    for peeking in peekings:
        woken = asyncio.Event()
        peeking.listen(woken.set)
        await ours.async_send("x")
        assert await theirs.async_receive(10) == "x"
        await shared.async_set("ab", 1)
        await asyncio.wait_for(woken.wait(), 20)
        assert len(peeking.after(0, 100)[0]) == 1
        peeking.unlisten(woken.set)
        await ours.async_send("y")
        assert await theirs.async_receive(10) == "y"
        await shared.async_set("ab", 2)
        assert peeking.after(0, 100) == ([], 0)
        assert peeking._timer is not None
        assert peeking._timer.cancelled()
        assert [side.peek for side in route.sides] == [None, None]
        assert pair.store._patterns == {}

"""Channels between two nodes, over a real server: what differs from one main process.

Tests cluster/cluster.py, cluster/options.py, cluster/streams.py, cluster/routes.py,
cluster/handled.py, cluster/place.py, cluster/far.py, cluster/listening.py, cluster/incoming.py,
cluster/book.py, cluster/member.py and comm/ends/crossing.py.

The laws of channels run over a server too, see `tests/transport`.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.comm.channel import Channel
from liteyuki_core.errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelEmpty,
    ChannelExists,
    ChannelFull,
    ChannelTimeout,
    SendError,
)
from tests.cluster.trouble import lose_words_on_channels
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import NodesPair, OneNode
from tests.pair import Unbuildable, in_thread, run_async
from tests.program import python

Nodes = tuple[OneNode, OneNode]


def test_a_name_is_had_by_one_node(nodes: Nodes) -> None:
    """The other is told which node has it."""
    first, second = nodes
    first.make("jobs")
    second.get("jobs")
    with pytest.raises(ChannelExists, match="node a of the cluster"):
        second.make("jobs")


def test_a_name_of_a_node_that_has_left(nodes: Nodes, nats: NatsServer) -> None:
    """Another one may take it."""
    first, second = nodes
    third = OneNode(nats.url, "c", "t")
    third.make("jobs")
    first.get("jobs")
    second.get("jobs")
    third.close()
    wait_until(lambda: not second.node._book.is_alive("c"), "b knows that c has left")
    made = second.make("jobs")
    wait_until(lambda: first.node._book.channels["jobs"].node == "b", "a knows that b has it")
    got = first.get("jobs")
    got.send("for b")
    assert made.receive(10) == "for b"


def test_nodes_come_and_go(nodes: Nodes, nats: NatsServer) -> None:
    """Each is told which others there are, what they have, and when one has stopped or died."""
    first, second = nodes
    told: list[tuple[str, bool]] = []
    first.node.on_member = lambda member: told.append((member.name, member.runs))
    second.make("jobs")
    wait_until(lambda: "b" in first.node.members(), "a knows b")
    wait_until(lambda: first.node.members()["b"].channels == ("jobs",), "a knows what b has")
    mine, other = (first.node.members()[name] for name in ("a", "b"))
    assert (mine.is_this, mine.runs, other.is_this, other.runs) == (True, True, False, True)
    third = OneNode(nats.url, "c", "t")
    wait_until(lambda: told[-1:] == [("c", True)], "a knows that c has come")
    third.close()
    wait_until(lambda: told[-1:] == [("c", False)], "a knows that c has stopped")
    again = OneNode(nats.url, "c", "t")
    wait_until(lambda: told[-1:] == [("c", True)], "a knows that c is back")
    again.vanish()
    wait_until(lambda: told[-1:] == [("c", False)], "a misses c")
    assert not first.node.members()["c"].runs
    again.close()


def test_a_node_that_stays_away_is_given_up(nats: NatsServer) -> None:
    """After LITEYUKI_NODE_GRACE its channels are broken, for who sends and receives, until it is
    back. Without the setting they wait.
    """
    patient = OneNode(nats.url, "p", "t")
    hasty = OneNode(nats.url, "h", "t", grace=0.1)
    gone = OneNode(nats.url, "g", "t")
    back = None
    try:
        made = gone.make("jobs")
        there, here = patient.get("jobs"), hasty.get("jobs")
        here.send("opened")
        assert made.receive(10) == "opened"
        with pytest.raises(ChannelEmpty):
            made.receive_nowait()
        wait_until(lambda: here.stats()["acknowledged"], "it is handled")
        gone.vanish()
        with pytest.raises(ChannelBroken, match="node 'g' of the cluster"):
            here.receive(30)
        with pytest.raises(ChannelBroken, match="node 'g' of the cluster"):
            here.send("to nobody")
        there.send("waits")
        back = OneNode(nats.url, "g", "t")
        again = back.make("jobs")
        assert again.receive(10) == "waits"
        wait_until(lambda: _sends(here, "again"), "it is no longer broken")
        assert again.receive(10) == "again"
        again.send("answer")
        assert here.receive(10) == "answer"
    finally:
        for node in filter(None, (back, gone, hasty, patient)):
            node.close()


def _sends(channel: Channel[str], data: str) -> bool:
    try:
        channel.send(data)
    except ChannelBroken:
        return False
    return True


def test_messages_are_plain_data(nodes: Nodes) -> None:
    """What is not can't be sent to another node, and the reason says what can."""
    first, second = nodes
    made = first.make("jobs")
    got = second.get("jobs")
    data = {"text": "é", "bytes": b"\0", "list": [1, -2, 2.5, None, True], 3: {"deep": [[]]}}
    for message in (data, "text", b"bytes", None, 2**63, [], "\ud800", "z" * 100_000):
        got.send(message)
        assert made.receive(10) == message
        made.send(message)
        assert got.receive(10) == message
    for message in ({1, 2}, object(), 2**70, {(1, 2): 3}, ["\ud800"], made):
        with pytest.raises(SendError, match="another node"):
            got.send(message)
    got.send((1, 2))
    assert made.receive(10) == [1, 2]


def test_what_can_not_cross_is_skipped(nats: NatsServer) -> None:
    """Where the sender can't know who will have it, the log says so, and the channel lives on."""
    pair = NodesPair(nats.url, "t")
    ours, theirs = pair.channel()
    ours.send(Unbuildable())
    ours.send("after")
    assert theirs.receive(10) == "after"
    pair.logged("ERROR", "can't cross to node b")
    wait_until(lambda: ours.stats()["acknowledged"] == 1)
    pair.close()


def test_where_nobody_receives(nats: NatsServer) -> None:
    """The node says so where that is, and not the one that has sent it there."""
    pair = NodesPair(nats.url, "t")
    ours, theirs = pair.channel()
    theirs.send("x")
    wait_until(lambda: pair.near.main.hub.statistics()[ours.name]["backlog"] == 1, "it is there")
    for hub in pair.hubs():
        hub.shut()
    (line,) = [line for line in pair.log if "nobody receives" in line]
    assert "wait in the main process" in line
    pair.close()


@pytest.mark.parametrize("closes", ["home", "other"])
def test_what_was_handled_is_known_at_the_end(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch, closes: str
) -> None:
    """Whoever closes says it with the end, whatever was lost of what was said before."""
    made = nodes[0].make("jobs")
    got = nodes[1].get("jobs")
    made.send("opened")
    assert got.receive(10) == "opened"
    sender, receiver = (got, made) if closes == "home" else (made, got)
    lose_words_on_channels(nodes[closes == "other"], monkeypatch)
    counts = sender.stats()
    for number in range(5):
        sender.send(number)
    for number in range(4):
        assert receiver.receive(10) == number
    receiver.close()
    with pytest.raises(ChannelClosed):
        sender.receive(10)
    wait_until(lambda: sender.stats()["dropped"], "what was not received is counted")
    stats = sender.stats()
    assert stats["sent"] == counts["sent"] + 5
    assert (stats["acknowledged"], stats["dropped"]) == (stats["sent"] - 1, 1)


def test_an_end_that_comes_before_the_servers_answer(
    nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A letter is received and the channel closed before its sender knows that it has left."""
    made = nodes[0].make("jobs")
    got = nodes[1].get("jobs")
    publish, may_come = nodes[0].node.publish, threading.Event()

    async def is_late(*args: Any) -> int:
        number = await publish(*args)
        while not may_come.is_set():
            await asyncio.sleep(0.01)
        return number

    made.send(0)
    assert got.receive(10) == 0
    lose_words_on_channels(nodes[1], monkeypatch)
    monkeypatch.setattr(nodes[0].node, "publish", is_late)
    made.send(1)
    assert got.receive(10) == 1
    far = nodes[0].node._routes.peer("b").by_name["jobs", True]
    got.close()
    wait_until(lambda: far._end or made._open().gone, "the end has come")
    may_come.set()
    with pytest.raises(ChannelClosed):
        made.receive(10)
    wait_until(lambda: made.stats()["acknowledged"] == 2, "it is known what was handled")
    assert made.stats()["dropped"] == 0


def test_what_came_too_late_makes_no_room(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sender hears that the channel is closed, and not that there is room for one more."""
    pair = NodesPair(nats.url, "t")
    ours, theirs = pair.channel(1)
    theirs.send("opened")
    assert ours.receive(10) == "opened"
    with pytest.raises(ChannelEmpty):
        ours.receive_nowait()
    wait_until(lambda: theirs.stats()["acknowledged"], "it is handled")
    node, may_leave = pair.near.node, threading.Event()

    def hold_back(of: Any, name: str) -> None:
        call = getattr(of, name)

        async def is_late(*args: Any) -> Any:
            while not may_leave.is_set():
                await asyncio.sleep(0.01)
            return await call(*args)

        monkeypatch.setattr(of, name, is_late)

    hold_back(node, "publish")
    hold_back(node._book, "release")
    ours.close()
    theirs.send("late")
    pair.logged("WARNING", "came after the other side had closed")
    with pytest.raises(ChannelTimeout):
        theirs.send("never", 0.5)
    may_leave.set()
    with pytest.raises(ChannelClosed):
        theirs.send("never")
    stats = theirs.stats()
    assert (stats["sent"], stats["acknowledged"], stats["dropped"]) == (2, 1, 1)
    pair.close()


def test_a_stopped_process_and_its_successor(nats: NatsServer) -> None:
    """Others are told that it has stopped, and can send again when it is back."""
    pair = NodesPair(nats.url, "t")
    channel = Channel._of(wait_until(lambda: found(pair, "w-active"), "w-active is known"))
    channel.send("kept")
    pair.child.close(2)
    wait_until(lambda: pair.main_ended)
    pair.hub.process_ended("w", ChannelClosed, "process w exited with code 0")
    wait_until(lambda: channel._open().gone, "a is told")
    with pytest.raises(ChannelClosed, match="exited with code 0"):
        channel.send("refused")
    pair.connect()
    wait_until(lambda: not channel._open().gone, "a is told that it is back")
    channel.send("later")
    theirs = Channel._of(pair.child.get("w-active"))
    assert [theirs.receive(10) for _ in range(2)] == ["kept", "later"]
    pair.close()


def found(pair: NodesPair, name: str) -> Any:
    """Return the main context's end of a channel, once its name is known."""
    return pair.main.get(name) if name in pair.main.port.names() else None


def test_a_node_that_is_away(nodes: Nodes, nats: NatsServer) -> None:
    """What is sent meanwhile waits for its next life, in order."""
    first, second = nodes
    first.make("jobs")
    got = second.get("jobs")
    first.close()
    for number in range(100):
        got.send(number)
    again = OneNode(nats.url, "a", "t")
    made = again.make("jobs")
    assert [made.receive(20) for _ in range(100)] == list(range(100))
    made.send("answer")
    assert got.receive(20) == "answer"
    wait_until(lambda: got.stats()["acknowledged"] >= 99, "what was handled is known")
    again.close()
    first.__init__(nats.url, "a", "t")  # type: ignore[misc]


def until_silent(channel: Channel[Any], seconds: float) -> list[Any]:
    """Return what comes until nothing has come for some seconds."""
    came = []
    while True:
        try:
            came.append(channel.receive(seconds))
        except ChannelTimeout:
            return came


@pytest.mark.parametrize("how", ["killed", pytest.param("paused", marks=pytest.mark.long)])
def test_the_server_is_away(nodes: Nodes, nats: NatsServer, how: str) -> None:
    """Nothing is lost, nothing comes twice, and all comes in order."""
    first, second = nodes
    made = first.make("jobs", 10_000)
    got = second.get("jobs")
    got.send(0)
    assert made.receive(10) == 0

    def send() -> None:
        for number in range(1, 3000):
            got.send(number)

    sender = in_thread(send)
    came = [made.receive(10) for _ in range(500)]
    if how == "killed":
        nats.kill()
        nats.start()
    else:
        nats.pause()
        came += until_silent(made, 4)
        nats.go_on()
    while len(came) < 2999:
        came.append(made.receive(20))
    sender.join()
    assert came == list(range(1, 3000))
    with pytest.raises(ChannelTimeout):
        made.receive(0.5)
    wait_until(lambda: got.stats()["acknowledged"] == 3000, "all are handled")


def test_a_full_subject(nodes: Nodes, monkeypatch: pytest.MonkeyPatch, nats: NatsServer) -> None:
    """It is backpressure as a full channel is, and delays no other channel."""
    first, second = nodes
    ask = first.node.connection.ask
    stream = first.node.subjects.stream

    async def narrow() -> None:
        info = await ask(f"STREAM.INFO.{stream}", {})
        await ask(f"STREAM.UPDATE.{stream}", {**info["config"], "max_msgs_per_subject": 2})

    asyncio.run_coroutine_threadsafe(narrow(), first.node._loop).result(10)
    made, other = first.make("jobs", 64), first.make("other")
    got, beside = second.get("jobs"), second.get("other")

    async def fill() -> int:
        count = 0
        try:
            while True:
                got.send(count)
                count += 1
                await asyncio.sleep(0.002)
        except ChannelFull:
            return count

    count = run_async(fill())
    assert count >= 64
    beside.send("not delayed")
    assert other.receive(10) == "not delayed"
    assert [made.receive(20) for _ in range(count)] == list(range(count))


def test_long_messages(nats: NatsServer) -> None:
    """They travel in parts, and are one message again."""
    first = OneNode(nats.url, "a", "t", 64 << 20)
    second = OneNode(nats.url, "b", "t", 64 << 20)
    made = first.make("jobs")
    got = second.get("jobs")
    data = bytes(range(256)) * (40 << 10)
    for message in (data, {"picture": data}, "after"):
        got.send(message)
        assert made.receive(30) == message
    first.close()
    second.close()


@pytest.mark.long
def test_many_channels(nodes: Nodes) -> None:
    """More than a server allows unless it is told: all are known, and each works."""
    first, second = nodes
    made = [first.make(f"channel-{number}", 4) for number in range(1100)]
    wait_until(lambda: len(second.context.port.names()) == 1100, "all are known", 120)
    got = [second.get(f"channel-{number}") for number in range(1100)]
    for number in (0, 1, 1050, 1099):
        got[number].send(number)
        assert made[number].receive(60) == number
        made[number].send("back")
        assert got[number].receive(60) == "back"


def test_nothing_is_imported_without_the_setting(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    """Neither the client nor msgpack, nor anything of the cluster."""
    code = """
        import sys
        from liteyuki_core import LiteyukiBot, get_channel

        if __name__ == "__main__":
            bot = LiteyukiBot()

            @bot.on_after_start
            def stop():
                bot.stop()

            bot.run()
            print([name for name in sys.modules if name.split(".")[0] in ("nats", "msgspec")])
            print([name for name in sys.modules if "cluster" in name or "packed" in name])
    """
    ran = python(code, tmp_path, environment)
    assert ran.stdout.splitlines()[-2:] == ["[]", "['liteyuki_core.comm.store.packed']"], ran.stdout

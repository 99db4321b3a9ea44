"""Three NATS servers that are one cluster of their own: one of them may die."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from nats.errors import Error as NatsError

from liteyuki_core.cluster.connection import Connection
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.errors import ClusterError
from tests.conftest import free_port, wait_until
from tests.nats import NatsServer
from tests.nodes import OneNode
from tests.pair import in_thread

Servers = list[NatsServer]


def make(tmp_path: Path) -> Servers:
    """Return three servers, named s0 to s2, that are not started yet."""
    ports = [free_port() for _ in range(3)]
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports)
    made = []
    for number, port in enumerate(ports):
        folder = tmp_path / str(number)
        folder.mkdir()
        cluster = f"cluster {{ name: c, listen: 127.0.0.1:{port}, routes: [{routes}] }}"
        made.append(NatsServer(folder, f"server_name: s{number}\n{cluster}"))
    return made


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """The three, started."""
    made = make(tmp_path)
    for server in made:
        server.start()
    yield made
    for server in made:
        server.close()


def urls(servers: Servers) -> str:
    """Return the addresses of all."""
    return ",".join(server.url for server in servers)


@pytest.mark.long
def test_a_node_starts_before_the_servers_agree(tmp_path: Path) -> None:
    """It waits for their leader as long as they may take to find one."""
    first, *others = make(tmp_path)
    with ExitStack() as stack:
        for server in (first, *others):
            stack.callback(server.close)
        first.start()
        starting = in_thread(lambda: stack.callback(OneNode(first.url, "a", "t").close))
        starting.join(9)
        assert starting.is_alive()
        for server in others:
            server.start()
        second = OneNode(others[0].url, "b", "t")
        stack.callback(second.close)
        starting.join(60)
        wait_until(lambda: "a" in second.node.members(), "b knows a", 60)


@pytest.mark.long
def test_a_server_that_does_not_answer_at_first(
    nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that has found it ready asks it again."""
    check = Connection._check

    async def checks(connection: Connection) -> None:
        await check(connection)
        nats.pause()
        threading.Timer(7, nats.go_on).start()  # The first question has no answer in 5 seconds.

    monkeypatch.setattr(Connection, "_check", checks)
    OneNode(nats.url, "a", "t").close()


def test_servers_that_do_not_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One of three has no leader, and a node says so."""
    monkeypatch.setattr("liteyuki_core.cluster.connection.ELECTION_SECONDS", 1.0)
    one, *_ = make(tmp_path)
    one.start()
    with pytest.raises(ClusterError, match="do not agree on who leads them"):
        OneNode(one.url, "a", "t")
    one.close()


@pytest.mark.long
def test_one_server_of_three_is_killed(servers: Servers) -> None:
    """With three replicas nothing is lost, nothing comes twice, and all comes in order."""
    first = OneNode(urls(servers), "a", "t", replicas=3)
    second = OneNode(urls(servers[::-1]), "b", "t", replicas=3)
    made = first.make("jobs", 64)
    got = second.get("jobs")
    sender = in_thread(lambda: [got.send(number, 60) for number in range(3000)])
    came = []
    for number in range(3000):
        if number == 500:
            servers[0].kill()
        came.append(made.receive(60))
    sender.join()
    assert came == list(range(3000))
    made.send("answer")
    assert got.receive(30) == "answer"
    first.close()
    second.close()


@pytest.mark.parametrize("part", ["book", "store"])
def test_the_server_that_tells_changes_is_killed(servers: Servers, part: str) -> None:
    """A node whose own connection is to another one learns of channels, nodes and changes."""
    with ExitStack() as stack:
        first, teller = told_by_another(servers, part)
        stack.callback(first.close)
        second = OneNode(servers[0].url, "b", "t", replicas=3)
        stack.callback(second.close)
        teller.kill()
        made = second.make("later")
        wait_until(lambda: "later" in first.context.port.names(), "a knows later", 60)
        made.send(1)
        assert first.get("later").receive(60) == 1
        stores = [SharedMemory._of(each.context.access) for each in (first, second)]
        stores[1].set("key", 1, timeout=60)
        wait_until(lambda: stores[0].get("key", stale_ok=True) == 1, "a has the change", 60)
        third = OneNode(servers[0].url, "c", "t", replicas=3)
        stack.callback(third.close)
        wait_until(lambda: "c" in first.node.members(), "a knows c", 60)


@pytest.mark.long
def test_the_store_while_servers_are_killed(servers: Servers) -> None:
    """One after another: what was acknowledged is there, and each change was made once."""
    with ExitStack() as stack:
        stores = []
        for name, order in (("a", servers), ("b", servers[::-1])):
            node = OneNode(urls(order), name, "t", replicas=3)
            stack.callback(node.close)
            stores.append(SharedMemory._of(node.context.access))
        stream = node.node.subjects.store
        counts: list[int] = []
        stop: list[bool] = []

        def count() -> None:
            while not stop:
                counts.append(stores[0].incr("n", timeout=90))
                stores[1].set(f"key{counts[-1]}", counts[-1], timeout=90)

        def counts_on() -> None:
            before = len(counts)
            wait_until(lambda: len(counts) > before + 50, "it counts", 90)

        counting = in_thread(count)
        for server in servers:
            counts_on()
            server.kill()
            counts_on()
            server.start()
            wait_until(lambda server=server: are_current(server, stream), "all three have all", 90)
        counts_on()
        stop.append(True)
        counting.join(90)
        assert not counting.is_alive()
        assert counts == list(range(1, len(counts) + 1))
        found = stores[0].items("key", timeout=60)
        assert sorted(number for _, number in found) == counts
        assert stores[1].items("key", timeout=60) == found


def are_current(server: NatsServer, stream: str) -> bool:
    """Return whether the leader of a stream says that both others have all of it."""
    try:
        state = server.ask(f"STREAM.INFO.{stream}")["cluster"]
    except (AssertionError, NatsError, OSError):
        return False
    others = state.get("replicas", [])
    return bool(state.get("leader")) and [each["current"] for each in others] == [True, True]


def told_by_another(servers: Servers, part: str) -> tuple[OneNode, NatsServer]:
    """Return a node of the first server, and another server, which tells it the changes."""
    for _ in range(20):  # The server takes one of the three at random.
        node = OneNode(servers[0].url, "a", "t", replicas=3)
        subjects = node.node.subjects
        stream = subjects.book if part == "book" else subjects.store
        begin = f"a-{node.node.epoch}-"
        (name,) = (each for each in servers[0].consumers(stream) if each.startswith(begin))
        leader = servers[0].ask(f"CONSUMER.INFO.{stream}.{name}")["cluster"]["leader"]
        teller = servers[int(leader[1:])]
        if teller is not servers[0]:
            return node, teller
        node.close()
    raise AssertionError("all consumers are on the first server")

"""The store that two nodes share, over a real server.

The laws of the store are tested over it too: see `tests/transport.py`.

Tests cluster/store.py, cluster/bucket.py, cluster/near.py, cluster/kept.py,
comm/store/crossing.py.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import nats as nats_py
import pytest

from liteyuki_core.cluster.kept import Kept
from liteyuki_core.cluster.options import options_of
from liteyuki_core.cluster.subjects import Subjects
from liteyuki_core.comm.storage import SharedMemory
from liteyuki_core.comm.store import value
from liteyuki_core.comm.store.question import Set
from liteyuki_core.comm.wire import packed as packed_messages
from liteyuki_core.config import Settings
from liteyuki_core.errors import ConfigError, StoreError, StoreTimeout
from tests.conftest import wait_until
from tests.fixtures import nodes_pair
from tests.nats import NatsServer
from tests.nodes import NodesPair, OneNode, fill
from tests.pair import in_thread


def together(*calls: Callable[[], object]) -> None:
    """Have threads of their own call these, and wait for them."""
    threads = [in_thread(call) for call in calls]
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive()


def on_server(server: NatsServer, subject: str, body: bytes) -> None:
    """Put something into the bucket that no node has written."""

    async def put() -> None:
        client = await nats_py.connect(server.url)
        await client.jetstream().publish(subject, body)
        await client.close()

    asyncio.run(put())


def subjects_of(two: NodesPair) -> Subjects:
    """Return the names that their cluster has on the server."""
    return two.near.node.subjects


# ------------------------------------------------------------- one store


def test_what_one_node_sets_the_other_gets(here: SharedMemory, there: SharedMemory) -> None:
    """As soon as it is set, whatever the name of the key, and however long."""
    for key in ("key", "中 文.*>", "x" * 1024, "a\ud800"):
        for number in range(10):
            here[key] = number
            assert there[key] == number
            there[key] = {"n": [number]}
            assert here[key] == {"n": [number]}
    assert there.keys() == sorted(("key", "中 文.*>", "x" * 1024, "a\ud800"))
    assert there.delete("key")
    assert here.get("key", "none") == "none"
    assert here.clear() == 3
    assert there.get_all() == {}


@pytest.mark.long
def test_both_count(here: SharedMemory, there: SharedMemory) -> None:
    """1,000 times each: no number is lost, and none is given twice."""
    _count(here, there, 1000)


def test_both_count_a_little(here: SharedMemory, there: SharedMemory) -> None:
    """The same, in every run."""
    _count(here, there, 100)


def _count(here: SharedMemory, there: SharedMemory, times: int) -> None:
    given: list[list[int]] = [[], []]

    def count(store: SharedMemory, numbers: list[int]) -> None:
        for _ in range(times):
            numbers.append(store.incr("n", timeout=60))

    together(lambda: count(here, given[0]), lambda: count(there, given[1]))
    assert sorted(given[0] + given[1]) == list(range(1, 2 * times + 1))
    assert here["n"] == there["n"] == 2 * times


def test_both_change_one_key(here: SharedMemory, there: SharedMemory) -> None:
    """Of those that expect the same value one sets it; no update is lost; one default is set."""
    won: list[str] = []

    def race(store: SharedMemory, name: str) -> None:
        for number in range(20):
            if store.compare_and_set(f"key{number}", None, name):
                won.append(name)
            store.update("list", lambda found: [*found, name], [], timeout=60)

    together(lambda: race(here, "a"), lambda: race(there, "b"))
    assert len(won) == 20
    assert [here[f"key{number}"] for number in range(20)].count("a") == won.count("a")
    assert sorted(there["list"]) == ["a"] * 20 + ["b"] * 20
    found: list[list[int]] = []
    together(
        lambda: found.append(here.setdefault("default", [1])),
        lambda: found.append(there.setdefault("default", [2])),
    )
    assert found[0] == found[1] == here["default"]


def test_what_may_be_stale_is_not_asked_for(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """The node's copy answers, also while the server is away; it gets what others change."""
    here["key"] = 1
    wait_until(lambda: there.get("key", stale_ok=True) == 1, "it has come")
    assert here.get("key", stale_ok=True) == 1
    nats.pause()
    try:
        assert there.get("key", stale_ok=True) == 1
        assert there.namespace("n").get("none", 0, stale_ok=True) == 0
        with pytest.raises(StoreTimeout):
            there.get("key", timeout=0.2)
    finally:
        nats.go_on()
    here["key"] = 2
    wait_until(lambda: there.get("key", stale_ok=True) == 2, "the change has come")


def test_what_is_stored_outlives_all_nodes(nats: NatsServer, two: NodesPair) -> None:
    """`persist` is always met: a node that comes later finds it."""
    store = SharedMemory._of(two.main.access)
    store.set("key", [1], persist=True)
    store.namespace("kept", persist=True)["key"] = "é"
    two.near.close()
    two.near = OneNode(nats.url, "a", two.near.node.cluster)
    again = SharedMemory._of(two.near.context.access)
    assert again.get_all() == {"key": [1], "kept:key": "é"}
    assert again.get("key", stale_ok=True) == [1]


@pytest.mark.long
def test_many_keys(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """10,000 of them: a node that comes has all, a watch sees each change, and all can go."""
    keys = [f"key{number:05}" for number in range(10_000)]
    seen: list[str] = []
    there.watch("key*")(lambda change: seen.append(change.key))
    with ThreadPoolExecutor(32) as threads:
        list(threads.map(lambda key: here.set(key, [key], timeout=100), keys))
    wait_until(lambda: len(seen) == len(keys), "each is seen", 100)
    third = OneNode(nats.url, "c", two.near.node.cluster)
    try:
        store = SharedMemory._of(third.context.access)
        assert store.keys(timeout=60) == keys
        assert store.get_all(timeout=60) == {key: [key] for key in keys}
        assert here.clear("key", timeout=100) == len(keys)
        assert store.keys(timeout=60) == []
    finally:
        third.close()
    wait_until(lambda: len(seen) == 2 * len(keys), "each end is seen", 100)
    assert sorted(seen[: len(keys)]) == sorted(seen[len(keys) :]) == keys


def test_a_file_beside_the_server() -> None:
    """There is none, and who has set one learns so."""
    settings = Settings(nats_url="nats://127.0.0.1:1", node="a", store_path="store.db")
    with pytest.raises(ConfigError, match=r"LITEYUKI_STORE_PATH and LITEYUKI_NATS_URL"):
        options_of(settings)


# ------------------------------------------------------------- what can't be


class Something:
    """No plain data."""


def test_what_is_no_plain_data(two: NodesPair, here: SharedMemory, there: SharedMemory) -> None:
    """It is refused where it is stored, by the name of its type; the key is as it was."""
    here["key"] = 1
    for store in (here, there):
        for data, what in ((Something(), "Something"), ([{1, 2}], "set"), (1j, "complex")):
            with pytest.raises(StoreError, match=rf"'key': .* can't be stored .*{what}") as error:
                store["key"] = data
            assert error.value.key == "key"
    assert there["key"] == 1


def test_a_child_that_sends_a_pickle(two: NodesPair, here: SharedMemory) -> None:
    """It never leaves its node."""
    access = two.child.access
    raw = value.Value(value.PICKLE, pickle.dumps(Something()))
    with pytest.raises(StoreError, match="a pickle can't be stored"):
        access.ask(Set(raw, "key", None, None, None)).wait(10)
    assert "key" not in here


def test_a_value_longer_than_the_server_takes(here: SharedMemory) -> None:
    """As long as messages may be, it comes whole."""
    long = bytes(range(256)) * 4096
    here["long"] = long
    assert here["long"] == long
    with pytest.raises(StoreError, match="limit of 1048576"):
        here["long"] = long + b"x"


def test_what_a_stranger_has_written(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """No code of it runs, nobody is hurt, and its key can be set anew."""
    here["good"] = 1
    evil = b"cos\nsystem\n(S'exit 1'\ntR."
    subjects = subjects_of(two)
    bodies = {
        "pickle": evil,
        "empty": b"",
        "kind": msgspec.msgpack.encode(Kept(b"kind", "p", evil)),
        "other": msgspec.msgpack.encode(Kept(b"not its key", "t", b"text")),
        "number": msgspec.msgpack.encode(Kept(b"number", "i", b"no number")),
        "msgpack": msgspec.msgpack.encode(Kept(b"msgpack", "m", evil)),
        "time": msgspec.msgpack.encode(Kept(b"time", "i", b"0x1", float("nan"))),
    }
    for key, body in bodies.items():
        on_server(nats, subjects.of_key(key), body)
    on_server(nats, subjects.of_key("x").replace(".key.", ".else."), evil)
    for store in (here, there):
        for key in bodies.keys() - {"time"}:
            with pytest.raises(StoreError, match=rf"'{key}'.* can't be rebuilt"):
                store.get(key)
        assert store["time"] == 1
        assert store["good"] == 1
        assert store.get_all() == {"good": 1, "time": 1}
        with pytest.raises(StoreError, match="is no number"):
            store.incr("pickle")
    for key in bodies:
        there[key] = key
    assert here.get_all() == {"good": 1, **{key: key for key in bodies}}


# ------------------------------------------------------------- a server that is away


def test_a_server_that_is_killed(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """What was acknowledged is there, what was asked for meanwhile is done, each change once."""
    counts: list[int] = []
    stop: list[bool] = []

    def count() -> None:
        while not stop:
            counts.append(there.incr("n", timeout=60))
            here.set(f"key{counts[-1]}", counts[-1], timeout=60)

    counting = in_thread(count)
    for _ in range(3):
        before = len(counts)
        wait_until(lambda before=before: len(counts) > before + 5, "it counts", 60)
        nats.kill()
        nats.start()
    before = len(counts)
    wait_until(lambda: len(counts) > before + 5, "it counts again", 60)
    stop.append(True)
    counting.join(60)
    assert not counting.is_alive()
    assert counts == list(range(1, len(counts) + 1))
    found = here.items("key", timeout=60)
    assert sorted(number for _, number in found) == counts
    assert there.items("key", timeout=60) == found


def test_a_server_that_is_paused(nats: NatsServer, here: SharedMemory, there: SharedMemory) -> None:
    """For longer than a change waits for its acknowledgement: it is sent again, and made once."""
    here["n"] = 0
    nats.pause()
    try:
        counting = [in_thread(lambda s=s: s.incr("n", timeout=60)) for s in (here, there) * 3]
        with pytest.raises(StoreTimeout):
            here.set("key", 1, timeout=4)
    finally:
        nats.go_on()
    for thread in counting:
        thread.join(60)
        assert not thread.is_alive()
    assert here["n"] == there["n"] == 6
    wait_until(lambda: there.get("key") == 1, "what was given up is made all the same")


def test_a_bucket_that_is_deleted(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """The store is empty then, and goes on."""
    here["old"] = 1

    async def delete() -> None:
        client = await nats_py.connect(nats.url)
        await client.jetstream().delete_stream(subjects_of(two).store)
        await client.close()

    asyncio.run(delete())
    here.set("new", 1, timeout=30)
    assert here.get_all(timeout=30) == {"new": 1}
    assert there.get("new", timeout=30) == 1
    assert here.get("old") is None


def test_a_bucket_that_another_node_makes_anew(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """Its versions are lower than those that a node has, and count all the same."""
    for number in range(20):
        here["key"] = number
    here["old"] = 1
    wait_until(lambda: there.get("old", stale_ok=True) == 1, "it has come")
    nats.ask(f"STREAM.DELETE.{subjects_of(two).store}")
    here.set("key", "new", timeout=30)
    wait_until(lambda: there.get("key", stale_ok=True) == "new", "the other node sees it")
    wait_until(lambda: there.get("old", stale_ok=True) is None, "and that all else is gone")
    assert there.keys() == ["key"]


def test_a_node_that_comes_when_the_last_change_is_forgotten(
    nats: NatsServer, two: NodesPair, here: SharedMemory
) -> None:
    """The server's last number is then one that it has no message of; nobody waits for it."""
    here["kept"] = 1
    here.set("short", 1, ttl=1)

    def is_forgotten() -> bool:
        state = nats.ask(f"STREAM.INFO.{subjects_of(two).store}")["state"]
        return bool(state["last_seq"] > 2 and state["messages"] == 1)

    wait_until(is_forgotten, "only one message is there")
    third = OneNode(nats.url, "c", two.near.node.cluster)
    try:
        assert SharedMemory._of(third.context.access).keys(timeout=20) == ["kept"]
    finally:
        third.close()


# ------------------------------------------------------------- a server that has no room


def test_a_server_that_is_full(tmp_path: Path) -> None:
    """What is set is refused, what is there is read, and deleting makes room for more."""
    server = NatsServer(tmp_path, max_file="2MB")
    server.start()
    both = nodes_pair(server)
    try:
        here, there = (SharedMemory._of(each.access) for each in (both.main, both.child))
        seen: list[str] = []
        there.watch("k*")(lambda change: seen.append(change.key) if change.deleted else None)
        filled = fill(here, "k")
        assert len(filled) > 30
        for call in (lambda: there.set("x", 1), lambda: there.incr("n"), lambda: fill(there, "k")):
            with pytest.raises(StoreError, match="has no room for it"):
                call()
        assert here.keys() == there.keys() == sorted(filled)
        assert len(there["k0"]) == len(there.get("k1", stale_ok=True)) == 50_000
        assert there.delete("k0")
        assert not here.delete("k0")
        assert here.get("k0", stale_ok=True) is None
        wait_until(lambda: there.get("k0", stale_ok=True) is None, "the copy has it too")
        here["k0"] = b"there is room"
        assert here.clear("k") == len(filled)
        wait_until(lambda: sorted(seen) == sorted([*filled, "k0"]), "all is told")
        assert there.keys() == []
        assert len(fill(there, "l")) > 30
    finally:
        both.close()
        server.close()


# ------------------------------------------------------------- a consumer that is gone


def test_a_consumer_that_the_server_has_lost(
    nats: NatsServer, two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """While the store is used: the copies are right again, and no watch misses what is there."""
    stream = subjects_of(two).store
    seen: dict[str, list[Any]] = {"here": [], "there": []}
    here.watch("*")(lambda change: seen["here"].append((change.key, change.new)))
    there.watch("*")(lambda change: seen["there"].append((change.key, change.new)))
    here["gone"] = 0
    stop: list[bool] = []
    done = [0]

    def use() -> None:
        while not stop:
            done[0] += 1
            here.set(f"key{done[0] % 50}", done[0], timeout=60)
            assert there.get(f"key{done[0] % 50}", timeout=60) == done[0]

    using = in_thread(use)
    for _ in range(3):
        before = done[0]
        wait_until(lambda before=before: done[0] > before + 20, "it is used", 60)
        nats.delete_consumers(stream)
    here.delete("gone", timeout=60)
    stop.append(True)
    using.join(60)
    assert not using.is_alive()
    nats.delete_consumers(stream)
    on_server(
        nats, subjects_of(two).of_key("quiet"), msgspec.msgpack.encode(Kept(b"quiet", "t", b"x"))
    )
    for store in (here, there):
        wait_until(lambda store=store: store.get("quiet", stale_ok=True) == "x", "it has come")
    truth = here.get_all()
    assert "gone" not in truth
    for store, name in ((here, "here"), (there, "there")):
        assert {key: store.get(key, stale_ok=True) for key in truth} == truth
        wait_until(lambda name=name: dict(seen[name]) == {**truth, "gone": None}, name)
        assert list(dict.fromkeys(seen[name])) == seen[name], "nothing is told twice"


# ------------------------------------------------------------- the parts


def test_long_msgpack_in_one_piece() -> None:
    """However long: it rebuilds, and is taken out again."""
    for length in (0, 10, 5_000_000):
        encoded = packed_messages.encode({"data": b"x" * length})
        flat = packed_messages.flat(encoded)
        assert pickle.loads(flat) == {"data": b"x" * length}
        assert packed_messages.unwrap(flat) == encoded

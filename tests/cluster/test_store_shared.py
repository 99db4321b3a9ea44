"""What two nodes do together with the store: locks, watches, topics, times to live.

Tests cluster/locks.py, cluster/topics.py.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nats as nats_py
import pytest

from liteyuki_core.comm.storage import Change, SharedMemory
from liteyuki_core.errors import StoreTimeout, WouldBlockLoop
from tests.conftest import wait_until
from tests.nats import NatsServer
from tests.nodes import NodesPair
from tests.pair import in_thread, run_async
from tests.program import running_program


def test_a_lock_has_one_holder(here: SharedMemory, there: SharedMemory) -> None:
    """Of threads of both nodes; each comes to its turn, and what they change is not torn."""
    inside: list[int] = []
    entered: list[str] = []

    def enter(store: SharedMemory, name: str) -> None:
        for _ in range(10):
            with store.lock("lock", 60):
                inside.append(1)
                assert len(inside) == 1
                entered.append(name)
                inside.pop()

    threads = [in_thread(enter, s, n) for s, n in ((here, "a"), (there, "b"), (there, "c"))]
    for thread in threads:
        thread.join(100)
        assert not thread.is_alive()
    assert sorted(entered) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10


def test_a_lock_that_another_node_has(here: SharedMemory, there: SharedMemory) -> None:
    """Waiting ends in time; a loop's thread does not wait; it is renewed while it is used."""
    with here.lock("lock"):
        with pytest.raises(StoreTimeout, match=r"lock lock: not free within 0\.5 s"):
            there.lock("lock", 0.5).__enter__()

        async def on_loop() -> None:
            with pytest.raises(WouldBlockLoop, match="async with"), there.lock("lock"):
                pass

        run_async(on_loop())
        with pytest.raises(StoreTimeout):  # Longer than an entry lasts.
            there.lock("lock", 12).__enter__()
    with there.lock("lock", 10):
        pass


def test_a_lock_of_a_child_that_dies(
    two: NodesPair, here: SharedMemory, there: SharedMemory
) -> None:
    """It is free at once."""
    there.lock("lock").__enter__()
    got: list[int] = []

    def take() -> None:
        with here.lock("lock", 30):
            got.append(1)

    waiting = in_thread(take)
    assert not got
    two.kill_child()
    waiting.join(8)
    assert got == [1]


def test_a_lock_of_a_node_that_is_killed(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer
) -> None:
    """It is free some seconds later."""
    environment = {**environment, "LITEYUKI_NATS_URL": nats.url, "LITEYUKI_LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        programs = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            program = stack.enter_context(
                running_program(
                    tmp_path / name, environment, "clustered:locking", LITEYUKI_NODE=name
                )
            )
            if name == "a":
                program.wait_for_line("^> has it$", timeout=60)
            programs.append(program)
        programs[0].process.kill()
        programs[0].wait()
        programs[1].wait_for_line("^> has it$", timeout=60)
        assert programs[1].stop() == 0


def test_a_watch_and_a_time_to_live(here: SharedMemory, there: SharedMemory) -> None:
    """A change of one node is told in the other, with what was before; so is its end."""
    seen: list[Change] = []
    there.watch("k*")(seen.append)
    here["other"] = 0
    here.set("key", [1], ttl=0.5)
    here.incr("k")
    here.delete("k")
    wait_until(lambda: len(seen) == 4, "all is told")
    assert seen == [
        Change("key", None, [1]),
        Change("k", None, 1),
        Change("k", 1, None, deleted=True),
        Change("key", [1], None, deleted=True, expired=True),
    ]
    assert here.get("key") is None
    assert there.get("key") is None


def test_what_was_missed_is_told(nats: NatsServer, two: NodesPair, here: SharedMemory) -> None:
    """After a connection was lost, a watch learns what has changed meanwhile."""
    seen: list[Change] = []
    here["gone"], here["kept"] = 1, 1
    here.watch("*")(seen.append)
    nats.kill()
    nats.start()

    async def change() -> None:
        client = await nats_py.connect(nats.url)
        await client.jetstream().purge_stream(
            two.near.node.subjects.store, subject=two.near.node.subjects.of_key("gone")
        )
        await client.close()

    asyncio.run(change())
    here.set("new", 2, timeout=60)
    assert sorted(here.keys(timeout=60)) == ["kept", "new"]
    wait_until(lambda: {change.key for change in seen} == {"gone", "new"}, f"{seen}")


def test_what_is_published(two: NodesPair, here: SharedMemory, there: SharedMemory) -> None:
    """Each subscriber of both nodes gets it once, in the order of its publisher."""
    got: dict[str, list[Any]] = {"here": [], "there": [], "begin": []}
    here.on_subscriber_receive("topic")(got["here"].append)
    there.on_subscriber_receive("topic")(got["there"].append)
    there.on_subscriber_receive("top*")(got["begin"].append)
    for number in range(20):
        (here if number % 2 else there).publish("topic", {"n": number})
    here.publish("other", "unheard")
    there.publish("top", "last")
    wait_until(lambda: len(got["begin"]) == 21 and len(got["here"]) == 20)
    expected = [{"n": number} for number in range(20)]
    assert got == {"here": expected, "there": expected, "begin": [*expected, "last"]}


def test_what_is_published_while_the_server_is_away(
    nats: NatsServer, here: SharedMemory, there: SharedMemory
) -> None:
    """It waits for the server, and comes once."""
    got: list[Any] = []
    there.on_subscriber_receive("topic")(got.append)
    nats.pause()
    publishing = in_thread(lambda: here.publish("topic", 1, timeout=60))
    try:
        with pytest.raises(StoreTimeout):
            there.publish("topic", 2, timeout=3)
    finally:
        nats.go_on()
    publishing.join(60)
    assert not publishing.is_alive()
    wait_until(lambda: sorted(got) == [1, 2], "both have come")
    here.publish("topic", 3)
    wait_until(lambda: 3 in got)
    assert sorted(got) == [1, 2, 3]


def test_children_of_two_nodes_count(
    tmp_path: Path, environment: dict[str, str], nats: NatsServer
) -> None:
    """Each in a process of its own: they count together."""
    environment = {**environment, "LITEYUKI_NATS_URL": nats.url, "LITEYUKI_LOG_LEVEL": "WARNING"}
    with ExitStack() as stack:
        programs = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            programs.append(
                stack.enter_context(
                    running_program(
                        tmp_path / name, environment, "clustered:counting", LITEYUKI_NODE=name
                    )
                )
            )
        for program in programs:
            program.wait_for_line("> 200$", timeout=60)
        for program in programs:
            assert program.stop() == 0

"""Law S9 of the store: what is published comes to every process that subscribes."""

from __future__ import annotations

from typing import Any

from liteyuki_core.comm.storage import SharedMemory
from tests.conftest import wait_until
from tests.pair import Pair, StoreDoor


def test_every_process_gets_what_is_published(
    pair: Pair, store: SharedMemory, other: SharedMemory, do: StoreDoor
) -> None:
    """Each subscriber once, in order, the publisher's own too; by name or beginning."""
    third = SharedMemory._of(pair.another("third").access)
    got: dict[str, list[Any]] = {"own": [], "other": [], "third": [], "not": []}

    @store.on_subscriber_receive("news.sport")
    async def own(data: Any) -> None:
        got["own"].append(data)

    other.on_subscriber_receive("news.*")(got["other"].append)
    third.on_subscriber_receive("*")(got["third"].append)
    third.on_subscriber_receive("news.sports")(got["not"].append)
    third.on_subscriber_receive("news.sports*")(got["not"].append)
    sent = [{"i": i} for i in range(100)]
    for data in sent:
        do(store, "publish", "news.sport", data)
    wait_until(lambda: [got[who] for who in ("own", "other", "third")] == [sent] * 3)
    assert got["not"] == []


def test_topics_of_a_namespace(store: SharedMemory, other: SharedMemory, do: StoreDoor) -> None:
    """They are its own."""
    got: list[str] = []
    other.namespace("a").on_subscriber_receive("t")(lambda data: got.append(f"a {data}"))
    other.namespace("b").on_subscriber_receive("t")(lambda data: got.append(f"b {data}"))
    do(store.namespace("b"), "publish", "t", 1)
    do(store.namespace("a"), "publish", "t", 2)
    wait_until(lambda: sorted(got) == ["a 2", "b 1"])

"""The store that nodes share, over a NATS server on loopback, and nats-py's own bucket beside it.

Each measurement has a server of its own. A watch has a second process, which answers each change of
one key by one of another: `python benchmarks/side_cluster_store.py WHAT URL WORKLOAD`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from side_cluster import on_a_node, other, server, times
from workloads import PATIENCE, Workload

from liteyuki_core import LiteyukiBot
from liteyuki_core.comm import shared_memory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from liteyuki_core.comm.storage import Change

RAW = "nats-py bucket"

_THERE, _BACK, _READY, _COUNTER = "there", "back", "ready", "counter"


def set_time(workload: Workload, seconds: float) -> float:
    """Return the median time of a `set`, in seconds."""
    return _alone(_set, workload, seconds)


def get_time(workload: Workload, seconds: float) -> float:
    """Return the median time of a `get`, in seconds: the server is asked."""
    return _alone(partial(_get, stale_ok=False), workload, seconds)


def stale_get_time(workload: Workload, seconds: float) -> float:
    """Return the median time of a `get` that the node's copy answers, in seconds."""
    return _alone(partial(_get, stale_ok=True), workload, seconds)


def incr_time(workload: Workload, seconds: float) -> float:
    """Return the median time of an `incr`, in seconds."""
    return _alone(_incr, workload, seconds)


def watch_time(workload: Workload, seconds: float) -> float:
    """Return the median time in which another node sees a change, and this one its answer."""
    with server() as url, other("ours", url, workload, __file__):
        return on_a_node(url, partial(_watch, workload, seconds))


def _alone(
    drive: Callable[[Workload, float], Awaitable[float]], workload: Workload, seconds: float
) -> float:
    with server() as url:
        return on_a_node(url, partial(drive, workload, seconds))


def _keys(pool: list[Any]) -> dict[Any, str]:
    return {message: f"key{number}" for number, message in enumerate(pool)}


def _expect(found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"the store has {found!r}, expected {expected!r}")


async def _set(workload: Workload, seconds: float) -> float:
    pool = workload.make_pool()
    keys = _keys(pool)

    async def trip(message: Any) -> Any:
        await shared_memory.async_set(keys[message], message)
        return message

    figure = await times(workload, seconds, False, pool, trip)
    _expect(await shared_memory.async_get(keys[pool[0]]), pool[0])
    return figure


async def _get(workload: Workload, seconds: float, stale_ok: bool) -> float:
    pool = workload.make_pool()
    keys = _keys(pool)
    for message, key in keys.items():
        await shared_memory.async_set(key, message)

    async def trip(message: Any) -> Any:
        return await shared_memory.async_get(keys[message], stale_ok=stale_ok)

    return await times(workload, seconds, False, pool, trip)


async def _incr(workload: Workload, seconds: float) -> float:
    count = 0

    async def trip(message: Any) -> Any:
        nonlocal count
        count += 1
        _expect(await shared_memory.async_incr(_COUNTER), count)
        return message

    return await times(workload, seconds, False, workload.make_pool(), trip)


async def _watch(workload: Workload, seconds: float) -> float:
    changes = aiter(shared_memory.watch(_BACK))
    while not await shared_memory.async_get(_READY, False):
        await asyncio.sleep(0.02)

    async def trip(message: Any) -> Any:
        await shared_memory.async_set(_THERE, message)
        return (await anext(changes)).new

    figure = await times(workload, seconds, False, workload.make_pool(), trip)
    changes.close()
    return figure


def _ours(url: str) -> None:
    os.environ.update(LITEYUKI_NATS_URL=url, LITEYUKI_NODE="far", LITEYUKI_LOG_LEVEL="ERROR")
    bot = LiteyukiBot()

    @bot.on_after_start
    async def answer() -> None:
        @shared_memory.watch(_THERE)
        async def changed(change: Change) -> None:
            await shared_memory.async_set(_BACK, change.new)

        await shared_memory.async_set(_READY, True)

    bot.run()


# ------------------------------------------------------------- nats-py alone


def raw_set_time(workload: Workload, seconds: float) -> float:
    """Return the median time of nats-py's `put`, in seconds."""
    return _raw_alone(_raw_set, workload, seconds)


def raw_get_time(workload: Workload, seconds: float) -> float:
    """Return the median time of nats-py's `get`, in seconds."""
    return _raw_alone(_raw_get, workload, seconds)


def raw_incr_time(workload: Workload, seconds: float) -> float:
    """Return the median time of a `get` and an `update` of what it has got, in seconds."""
    return _raw_alone(_raw_incr, workload, seconds)


def raw_watch_time(workload: Workload, seconds: float) -> float:
    """Return the median time in which another process sees a change, and this one its answer."""
    with server() as url, other("raw", url, workload, __file__):
        return _raw_run(_raw_watch, url, workload, seconds)


def _raw_alone(
    drive: Callable[[Any, Workload, float], Awaitable[float]], workload: Workload, seconds: float
) -> float:
    with server() as url:
        return _raw_run(drive, url, workload, seconds)


def _raw_run(
    drive: Callable[[Any, Workload, float], Awaitable[float]],
    url: str,
    workload: Workload,
    seconds: float,
) -> float:
    async def run() -> float:
        client, bucket = await _raw_bucket(url)
        figure = await drive(bucket, workload, seconds)
        await client.close()
        return figure

    return asyncio.run(asyncio.wait_for(run(), PATIENCE))


async def _raw_bucket(url: str) -> tuple[Any, Any]:
    import nats
    from nats.js.errors import Error

    client = await nats.connect(url)
    while True:
        try:
            return client, await client.jetstream().create_key_value(bucket="raw")
        except Error:  # The other process makes it at this moment.
            await asyncio.sleep(0.05)


async def _raw_set(bucket: Any, workload: Workload, seconds: float) -> float:
    pool = [message.encode() for message in workload.make_pool()]
    keys = _keys(pool)

    async def trip(message: bytes) -> bytes:
        await bucket.put(keys[message], message)
        return message

    figure = await times(workload, seconds, False, pool, trip)
    _expect((await bucket.get(keys[pool[0]])).value, pool[0])
    return figure


async def _raw_get(bucket: Any, workload: Workload, seconds: float) -> float:
    pool = [message.encode() for message in workload.make_pool()]
    keys = _keys(pool)
    for message, key in keys.items():
        await bucket.put(key, message)

    async def trip(message: bytes) -> bytes:
        return (await bucket.get(keys[message])).value

    return await times(workload, seconds, False, pool, trip)


async def _raw_incr(bucket: Any, workload: Workload, seconds: float) -> float:
    await bucket.put(_COUNTER, b"0")
    count = 0

    async def trip(message: Any) -> Any:
        nonlocal count
        entry = await bucket.get(_COUNTER)
        count += 1
        _expect(int(entry.value) + 1, count)
        await bucket.update(_COUNTER, b"%d" % count, entry.revision)
        return message

    return await times(workload, seconds, False, workload.make_pool(), trip)


async def _raw_watch(bucket: Any, workload: Workload, seconds: float) -> float:
    from nats.js.errors import KeyNotFoundError

    watcher = await bucket.watch(_BACK)
    await watcher.updates(PATIENCE)  # Says that there is none yet.
    while True:
        try:
            await bucket.get(_READY)
        except KeyNotFoundError:
            await asyncio.sleep(0.02)
        else:
            break

    async def trip(message: bytes) -> bytes:
        await bucket.put(_THERE, message)
        return (await watcher.updates(PATIENCE)).value

    pool = [message.encode() for message in workload.make_pool()]
    figure = await times(workload, seconds, False, pool, trip)
    await watcher.stop()
    return figure


async def _raw(url: str) -> None:
    from nats.errors import TimeoutError

    _, bucket = await _raw_bucket(url)
    watcher = await bucket.watch(_THERE)
    await watcher.updates(PATIENCE)
    await bucket.put(_READY, b"1")
    while True:
        try:
            entry = await watcher.updates(PATIENCE)
        except TimeoutError:
            continue
        await bucket.put(_BACK, entry.value)


if __name__ == "__main__":
    part, server_url, _ = sys.argv[1:]
    if part == "ours":
        _ours(server_url)
    else:
        asyncio.run(_raw(server_url))

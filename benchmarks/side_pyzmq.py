"""pyzmq's asyncio sockets, a PAIR over ipc between a process and its spawned child."""

from __future__ import annotations

import asyncio
import multiprocessing
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workloads import (
    IN_FLIGHT,
    PATIENCE,
    WORKLOADS,
    NotMeasurable,
    Report,
    Workload,
    check,
    choose_loop,
    end_with_parent,
    last,
    messages,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

NAME = "pyzmq asyncio PAIR, ipc"
_LINGER_MS = 5_000


def version() -> str:
    """Return the version that is measured."""
    try:
        require("zmq")
    except NotMeasurable as error:
        return str(error)
    import zmq

    return f"{zmq.__version__} (libzmq {zmq.zmq_version()})"


def one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child."""

    async def drive(socket: Any) -> float:
        pool = workload.make_pool()
        count = workload.count(seconds, await _send(socket, pool, workload.warm_up))
        return count / await _send(socket, pool, count)

    return _with_child(partial(_serve_phases, _serve), workload, drive)


def round_trip(workload: Workload, seconds: float) -> float:
    """Return the median time of a message to the child and back, in seconds."""

    async def drive(socket: Any) -> float:
        pool = workload.make_pool()
        warm_up = await _trips(socket, pool, workload.warm_up)
        return median(await _trips(socket, pool, workload.count(seconds, sum(warm_up))))

    return _with_child(partial(_serve_phases, _echo), workload, drive)


def requests(workload: Workload, seconds: float) -> float:
    """Return how many requests a second the child answers, `IN_FLIGHT` under way at a time."""

    async def drive(socket: Any) -> float:
        pool = workload.make_pool()
        took = await _requests(socket, pool, 10 * workload.warm_up) / 10
        count = workload.count(seconds, took)
        return count / await _requests(socket, pool, count)

    return _with_child(_answer, workload, drive, "DEALER", "ROUTER")


async def _requests(socket: Any, pool: list[Any], count: int) -> float:
    """Send requests with a number each. One task hands the answers out by number."""
    waiting: dict[bytes, asyncio.Future[bytes]] = {}
    numbered = enumerate(messages(pool, count))
    loop = asyncio.get_running_loop()

    async def hand_out() -> None:
        for _ in range(count):
            key, answer = await socket.recv_multipart()
            waiting.pop(key).set_result(answer)

    async def ask() -> None:
        for number, message in numbered:
            key = str(number).encode()
            answered = waiting[key] = loop.create_future()
            await socket.send_multipart([key, message.encode()])
            answer = (await answered).decode()
            if answer != message:
                raise AssertionError(f"sent {message!r}, got {answer!r} back")

    begun = perf_counter()
    await asyncio.gather(hand_out(), *(ask() for _ in range(IN_FLIGHT)))
    return perf_counter() - begun


async def _send(socket: Any, pool: list[Any], count: int) -> float:
    await socket.send_string(str(count))
    await socket.recv_string()
    begun = perf_counter()
    for message in messages(pool, count):
        await socket.send_string(message)
    report = await socket.recv_pyobj()
    took = perf_counter() - begun
    check(pool, count, report)
    return took


async def _trips(socket: Any, pool: list[Any], count: int) -> list[float]:
    await socket.send_string(str(count))
    await socket.recv_string()
    took = []
    for message in messages(pool, count):
        begun = perf_counter()
        await socket.send_string(message)
        answer = await socket.recv_string()
        took.append(perf_counter() - begun)
        if answer != message:
            raise AssertionError(f"sent {message!r}, got {answer!r} back")
    return took


async def _serve(socket: Any, pool: list[Any], expected: int) -> None:
    received = size = 0
    while received < expected:
        data = await socket.recv_string()
        received += 1
        size += len(data)
    await socket.send_pyobj(Report(received, size, data == last(pool, expected)))


async def _answer(socket: Any, pool: list[Any]) -> None:
    while True:
        parts = await socket.recv_multipart()
        if parts[-1] == b"end":
            return
        await socket.send_multipart(parts)


async def _echo(socket: Any, pool: list[Any], expected: int) -> None:
    for _ in range(expected):
        await socket.send_string(await socket.recv_string())


async def _serve_phases(
    phase: Callable[[Any, list[Any], int], Awaitable[None]], socket: Any, pool: list[Any]
) -> None:
    while (asked := await socket.recv_string()) != "end":
        await socket.send_string("ready")
        await phase(socket, pool, int(asked))


def _with_child(
    serve: Callable[[Any, list[Any]], Awaitable[None]],
    workload: Workload,
    drive: Callable[[Any], Awaitable[float]],
    ours: str = "PAIR",
    theirs: str = "PAIR",
) -> float:
    require("zmq")
    with TemporaryDirectory() as folder:
        address = f"ipc://{Path(folder) / 'pair'}"
        child = multiprocessing.get_context("spawn").Process(
            target=_child, args=(address, serve, workload.name, theirs)
        )
        choose_loop()
        child.start()
        try:
            figure = asyncio.run(_drive(address, drive, ours))
            child.join(PATIENCE)
            return figure
        finally:
            child.kill()
            child.join()


async def _drive(address: str, drive: Callable[[Any], Awaitable[float]], kind: str) -> float:
    import zmq
    import zmq.asyncio

    with zmq.asyncio.Context() as context, context.socket(getattr(zmq, kind)) as socket:
        socket.linger = _LINGER_MS
        socket.bind(address)
        figure = await asyncio.wait_for(drive(socket), PATIENCE)
        await socket.send_string("end")
    return figure


def _child(
    address: str, serve: Callable[[Any, list[Any]], Awaitable[None]], name: str, kind: str
) -> None:
    end_with_parent()
    choose_loop()
    asyncio.run(_child_main(address, serve, name, kind))


async def _child_main(
    address: str, serve: Callable[[Any, list[Any]], Awaitable[None]], name: str, kind: str
) -> None:
    import zmq
    import zmq.asyncio

    pool = WORKLOADS[name].make_pool()
    with zmq.asyncio.Context() as context, context.socket(getattr(zmq, kind)) as socket:
        socket.linger = _LINGER_MS
        socket.connect(address)
        await serve(socket, pool)

"""`multiprocessing.Pipe` between a process and its spawned children: plain send and recv."""

from __future__ import annotations

import sys
from functools import partial
from itertools import cycle
from time import perf_counter
from typing import TYPE_CHECKING, Any

from children import spawned
from workloads import WORKLOADS, Report, Workload, check, last, last_of_each, messages

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

    from children import Connections

NAME = "multiprocessing.Pipe"


def version() -> str:
    """Return the version that is measured."""
    return sys.version.split()[0]


def one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child."""
    return _with_children(_count, _send, workload, seconds)


def one_way_tagged(workload: Workload, seconds: float, channels: int) -> float:
    """Return the same where each message says which of `channels` it belongs to."""
    return _with_children(
        partial(_count_tagged, channels), partial(_send_tagged, channels), workload, seconds
    )


def one_way_to_children(workload: Workload, seconds: float, children: int) -> float:
    """Return how many messages a second reach `children` in all, taking turns, a Pipe each."""
    return _with_children(_count, _send_each, workload, seconds, children)


def _with_children(
    serve: Callable[[Connection[Any, Any], list[Any], int], Report],
    send: Callable[[Connections, list[Any], int], None],
    workload: Workload,
    seconds: float,
    children: int = 1,
) -> float:
    with spawned(children, _serve, serve, workload.name) as connections:
        pool = workload.make_pool()
        count = workload.count(seconds, _phase(connections, send, pool, workload.warm_up))
        return children * count / _phase(connections, send, pool, count)


def _phase(
    connections: Connections,
    send: Callable[[Connections, list[Any], int], None],
    pool: list[Any],
    count: int,
) -> float:
    for connection in connections:
        connection.send(count)
    for connection in connections:
        connection.recv()
    begun = perf_counter()
    send(connections, pool, count)
    reports = [connection.recv() for connection in connections]
    took = perf_counter() - begun
    for report in reports:
        check(pool, count, report)
    return took


def _send(connections: Connections, pool: list[Any], count: int) -> None:
    (connection,) = connections
    for message in messages(pool, count):
        connection.send(message)


def _send_tagged(channels: int, connections: Connections, pool: list[Any], count: int) -> None:
    (connection,) = connections
    for tagged in zip(cycle(range(channels)), messages(pool, count)):
        connection.send(tagged)


def _send_each(connections: Connections, pool: list[Any], count: int) -> None:
    for message in messages(pool, count):
        for connection in connections:
            connection.send(message)


def _serve(
    connection: Connection[Any, Any],
    serve: Callable[[Connection[Any, Any], list[Any], int], Report],
    name: str,
) -> None:
    pool = WORKLOADS[name].make_pool()
    while True:
        expected = connection.recv()
        connection.send("ready")
        connection.send(serve(connection, pool, expected))


def _count(connection: Connection[Any, Any], pool: list[Any], expected: int) -> Report:
    received = size = 0
    while received < expected:
        data = connection.recv()
        received += 1
        size += len(data)
    return Report(received, size, data == last(pool, expected))


def _count_tagged(
    channels: int, connection: Connection[Any, Any], pool: list[Any], expected: int
) -> Report:
    latest: list[Any] = [None] * channels
    received = size = 0
    while received < expected:
        number, data = connection.recv()
        latest[number] = data
        received += 1
        size += len(data)
    return Report(received, size, latest == last_of_each(pool, expected, channels))

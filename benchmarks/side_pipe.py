"""`multiprocessing.Pipe` between a process and its spawned child: plain send and recv."""

from __future__ import annotations

import multiprocessing
import sys
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workloads import PATIENCE, WORKLOADS, Report, Workload, check, last, messages

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

NAME = "multiprocessing.Pipe"


def version() -> str:
    """Return the version that is measured."""
    return sys.version.split()[0]


def one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, workload.name))
    child.start()
    theirs.close()
    watchdog = threading.Timer(PATIENCE, child.kill)
    watchdog.start()
    try:
        pool = workload.make_pool()
        count = workload.count(seconds, _send(ours, pool, workload.warm_up))
        return count / _send(ours, pool, count)
    finally:
        ours.close()
        child.join()
        watchdog.cancel()
        watchdog.join()


def _send(connection: Connection[Any, Any], pool: list[Any], count: int) -> float:
    connection.send(count)
    connection.recv()
    begun = perf_counter()
    for message in messages(pool, count):
        connection.send(message)
    report = connection.recv()
    took = perf_counter() - begun
    check(pool, count, report)
    return took


def _serve(connection: Connection[Any, Any], name: str) -> None:
    pool = WORKLOADS[name].make_pool()
    try:
        while True:
            expected = connection.recv()
            received = size = 0
            connection.send("ready")
            while received < expected:
                data = connection.recv()
                received += 1
                size += len(data)
            connection.send(Report(received, size, data == last(pool, expected)))
    except EOFError:
        connection.close()

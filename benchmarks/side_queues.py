"""Queues between a process and its spawned child: `multiprocessing.Queue` and faster-fifo's.

Data goes through the queue, what controls the measurement through a `multiprocessing.Pipe`.
"""

from __future__ import annotations

import multiprocessing
from importlib import metadata
from time import perf_counter
from typing import TYPE_CHECKING, Any

from workloads import (
    PATIENCE,
    WORKLOADS,
    NotMeasurable,
    Report,
    Workload,
    check,
    end_with_parent,
    last,
    messages,
    require,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

NAME = "faster-fifo"


def version() -> str:
    """Return the version of faster-fifo that is measured."""
    try:
        require("faster_fifo")
    except NotMeasurable as error:
        return str(error)
    return metadata.version("faster-fifo")


def standard(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child through `multiprocessing.Queue`."""
    queue = multiprocessing.get_context("spawn").Queue()
    try:
        return _one_way(queue, _each, workload, seconds)
    finally:
        queue.cancel_join_thread()
        queue.close()


def fifo(workload: Workload, seconds: float) -> float:
    """Return the same for faster-fifo, the child calling `get` for each message."""
    return _one_way(_fifo(), _each, workload, seconds)


def fifo_many(workload: Workload, seconds: float) -> float:
    """Return the same where the child takes with `get_many` what is there."""
    return _one_way(_fifo(), _many, workload, seconds)


def _fifo() -> Any:
    require("faster_fifo")
    from faster_fifo import Queue

    return Queue()


def _one_way(
    queue: Any, receive: Callable[[Any, int], Iterator[Any]], workload: Workload, seconds: float
) -> float:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(queue, theirs, receive, workload.name))
    child.start()
    theirs.close()
    try:
        pool = workload.make_pool()
        count = workload.count(seconds, _send(queue, ours, pool, workload.warm_up))
        return count / _send(queue, ours, pool, count)
    except BaseException:
        child.kill()  # It may wait for messages that won't come.
        raise
    finally:
        ours.close()
        child.join()


def _send(queue: Any, control: Connection[Any, Any], pool: list[Any], count: int) -> float:
    control.send(count)
    _answer(control)
    begun = perf_counter()
    for message in messages(pool, count):
        queue.put(message)
    report = _answer(control)
    took = perf_counter() - begun
    check(pool, count, report)
    return took


def _answer(control: Connection[Any, Any]) -> Any:
    if not control.poll(PATIENCE):
        raise TimeoutError(f"the child has not answered within {PATIENCE:g} s")
    return control.recv()


def _serve(
    queue: Any,
    control: Connection[Any, Any],
    receive: Callable[[Any, int], Iterator[Any]],
    name: str,
) -> None:
    end_with_parent()
    pool = WORKLOADS[name].make_pool()
    try:
        while True:
            expected = control.recv()
            control.send("ready")
            received = size = 0
            for data in receive(queue, expected):
                received += 1
                size += len(data)
            control.send(Report(received, size, data == last(pool, expected)))
    except EOFError:
        control.close()


def _each(queue: Any, count: int) -> Iterator[Any]:
    for _ in range(count):
        yield queue.get()


def _many(queue: Any, count: int) -> Iterator[Any]:
    while count > 0:
        taken = queue.get_many()
        count -= len(taken)
        yield from taken

"""Children of a peer that has no supervision of its own: spawned, bounded, ended."""

from __future__ import annotations

import multiprocessing
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from workloads import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

    Connections = list[Connection[Any, Any]]


@contextmanager
def spawned(count: int, target: Callable[..., None], *args: Any) -> Iterator[Connections]:
    """Have `count` children run `target(connection, *args)`; yield this side's connections.

    They end when the connections are closed, which is done and waited for on leaving, and are
    killed after `PATIENCE`.
    """
    context = multiprocessing.get_context("spawn")
    connections: Connections = []
    processes: list[Any] = []

    def give_up() -> None:
        for process in processes:
            process.kill()

    watchdog = threading.Timer(PATIENCE, give_up)
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            connections.append(ours)
            process = context.Process(target=_run, args=(target, theirs, *args))
            process.start()
            processes.append(process)
            theirs.close()
        watchdog.start()
        yield connections
    finally:
        for connection in connections:
            connection.close()
        for process in processes:
            process.join()
        if watchdog.ident is not None:
            watchdog.cancel()
            watchdog.join()


def _run(target: Callable[..., None], connection: Connection[Any, Any], *args: Any) -> None:
    try:
        target(connection, *args)
    except (EOFError, ConnectionError):  # The parent has closed its side, or is gone.
        pass
    finally:
        connection.close()

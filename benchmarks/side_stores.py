"""Other stores between a process and its spawned children: a Manager's dict, diskcache, Redis.

Orders and reports go over a `multiprocessing.Pipe` a child.
"""

from __future__ import annotations

import multiprocessing
import pickle
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager, closing, contextmanager, nullcontext
from functools import partial
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from children import spawned
from store_work import STORE_WORK, Lane, Store, StoreWork, drive, serve
from workloads import PATIENCE, NotMeasurable, require

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractContextManager
    from multiprocessing.connection import Connection

    Open = Callable[[], AbstractContextManager[Store]]

MANAGER, DISKCACHE, REDIS = "Manager().dict()", "diskcache", "Redis"


def versions() -> dict[str, str]:
    """Return the versions that are measured."""
    return {
        MANAGER: sys.version.split()[0],
        DISKCACHE: _version(partial(require, "diskcache"), lambda: metadata.version("diskcache")),
        REDIS: _version(_require_redis, _redis_version),
    }


def manager(work: StoreWork, seconds: float) -> float:
    """Measure `Manager().dict()`; `incr` holds a lock of the same manager."""
    with multiprocessing.get_context("spawn").Manager() as server:
        return _measure(partial(_open_manager, server.dict(), server.Lock()), work, seconds)


def diskcache(work: StoreWork, seconds: float) -> float:
    """Measure a `diskcache.Cache` with its defaults, in a temporary folder."""
    require("diskcache")
    with TemporaryDirectory(prefix="liteyuki-benchmark-") as folder:
        return _measure(partial(_open_diskcache, folder), work, seconds)


def redis(work: StoreWork, seconds: float) -> float:
    """Measure a Redis server of its own on a Unix socket, nothing saved, values pickled."""
    with _redis_server() as path:
        return _measure(partial(_open_redis, path), work, seconds)


def _version(check: Callable[[], object], find: Callable[[], str]) -> str:
    try:
        check()
    except NotMeasurable as error:
        return str(error)
    return find()


def _measure(open_store: Open, work: StoreWork, seconds: float) -> float:
    with open_store() as store, spawned(work.children, _serve, open_store, work.name) as links:
        return drive(store, [Lane(link.send, link.recv) for link in links], work, seconds)


def _serve(link: Connection[Any, Any], open_store: Open, name: str) -> None:
    with open_store() as store:
        serve(store, iter(link.recv, None), link.send, STORE_WORK[name])


class _ManagerStore:
    def __init__(self, values: Any, lock: Any) -> None:
        self.get = values.get
        self.set = values.__setitem__
        self._lock = lock

    def incr(self, key: str) -> int:
        with self._lock:
            value: int = self.get(key, 0) + 1
            self.set(key, value)
            return value


def _open_manager(values: Any, lock: Any) -> AbstractContextManager[Store]:
    return nullcontext(_ManagerStore(values, lock))


def _open_diskcache(folder: str) -> AbstractContextManager[Store]:
    from diskcache import Cache

    return Cache(folder)


class _RedisStore:
    def __init__(self, client: Any, path: str) -> None:
        self._client = client
        self._path = path
        self.incr = client.incr
        self.close = client.close

    def get(self, key: str) -> Any:
        return pickle.loads(self._client.get(key))

    def set(self, key: str, value: Any) -> object:
        return self._client.set(key, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))

    @asynccontextmanager
    async def in_tasks(self) -> AsyncIterator[_RedisInTasks]:
        """Open another client on the same server, for tasks of the running loop."""
        from redis.asyncio import Redis

        async with Redis(unix_socket_path=self._path) as client:
            yield _RedisInTasks(client)


class _RedisInTasks:
    def __init__(self, client: Any) -> None:
        self._client = client

    async def async_set(self, key: str, value: Any) -> object:
        return await self._client.set(key, pickle.dumps(value, pickle.HIGHEST_PROTOCOL))


def _open_redis(path: str) -> AbstractContextManager[Store]:
    from redis import Redis

    return closing(_RedisStore(Redis(unix_socket_path=path), path))


def _require_redis() -> str:
    require("redis")
    found = shutil.which("redis-server")
    if found is None:
        raise NotMeasurable("no redis-server on PATH")
    return found


def _redis_version() -> str:
    said = subprocess.run(
        [_require_redis(), "--version"], capture_output=True, check=True, encoding="utf-8"
    ).stdout
    server = next(word[2:] for word in said.split() if word.startswith("v="))
    return f"{server} (redis-py {metadata.version('redis')})"


@contextmanager
def _redis_server() -> Iterator[str]:
    """Run a server while the context lasts; yield its socket's path."""
    program = _require_redis()
    with TemporaryDirectory(prefix="liteyuki-benchmark-") as folder:
        path = str(Path(folder, "redis.sock"))
        options = {"--port": "0", "--unixsocket": path, "--save": "", "--dir": folder}
        command = [program, *(word for option in options.items() for word in option)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                _wait_for(server, path)
                yield path
            finally:
                server.terminate()


def _wait_for(server: subprocess.Popen[bytes], path: str) -> None:
    from redis import ConnectionError, Redis

    deadline = monotonic() + PATIENCE
    with Redis(unix_socket_path=path) as client:
        while True:
            try:
                client.ping()
            except ConnectionError:
                if server.poll() is not None or monotonic() > deadline:
                    raise
                sleep(0.01)
            else:
                return

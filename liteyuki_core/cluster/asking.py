"""What one node asks another: a question and its answer, beside the stream.

A question is not kept: whoever asks learns at once that nobody is there, and within the time of a
heartbeat that the other node has vanished meanwhile. What stands in questions and answers is up to
who asks and who serves: `control/remote.py` and `alert.py`.

Ownership. An `Asking` owns the threads in which questions are answered, from the first `serve` to
`close`. The cluster's loop calls everything but what answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import nats.errors
from nats.aio.msg import Msg

from .. import log
from ..errors import ClusterError, NodeError, NodeGone, NodeNotFound, NodeTimeout
from ..language import say
from .place import Place
from .presence import Presence

COMMAND, ALERT = "command", "alert"
"""Kinds of questions."""

LONGEST_QUESTION = 64 * 1024
LONGEST_ANSWER = 512 * 1024
"""In bytes."""

_THREADS = 32
_MOST = 64
"""Questions that are answered, or wait for that, at a time."""


class Asking:
    """Asks other nodes, and has them answered."""

    def __init__(self, node: Place, presence: Presence) -> None:
        self._node = node
        self._presence = presence
        self._asked: dict[str, set[asyncio.Future[Any]]] = {}
        """By the name of a node: what ends when that is gone, for each question under way."""
        self._threads: ThreadPoolExecutor | None = None
        self._under_way = 0

    async def ask(self, name: str, question: bytes, timeout: float, kind: str = COMMAND) -> bytes:
        """Return what a node answers. Raises `NodeError` and `ClusterError`."""
        self._check(name, question)
        gone: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        asking: asyncio.Future[Any] = asyncio.ensure_future(
            self._request(name, question, timeout, kind)
        )
        waiting = self._asked.setdefault(name, set())
        waiting.add(gone)
        try:
            await asyncio.wait({gone, asking}, return_when=asyncio.FIRST_COMPLETED)
            if not asking.done():
                raise NodeGone(f"node {name} has vanished while it was asked", name)
            answer: bytes = asking.result()
            return answer
        finally:
            waiting.discard(gone)
            asking.cancel()

    def gone(self, name: str) -> None:
        """Learn that a node is gone, or has a new life: it will not answer any more."""
        for each in list(self._asked.get(name, ())):
            if not each.done():
                each.set_result(None)

    async def serve(self, answer: Callable[[bytes], bytes], kind: str = COMMAND) -> None:
        """Have `answer` called with each question of a kind, in a thread where it may wait."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "liteyuki-asked")
        subject = self._node.subjects.asks(kind, self._node.name)
        await self._node.connection.subscribe(subject, partial(self._asked_here, answer))

    def close(self) -> None:
        """Answer nothing any more. Does not wait for what is being answered."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    # ------------------------------------------------------------- inside

    def _check(self, name: str, question: bytes) -> None:
        if not self._node.connection.is_there:
            raise ClusterError(
                f"the NATS server at {self._node.connection.shown} is gone: nothing can be asked "
                "of other nodes until it is back"
            )
        members = self._presence.all()
        if name not in members:
            known = ", ".join(sorted(members))
            raise NodeNotFound(
                f"no node of the cluster is named {name!r} (there are: {known})", name
            )
        if not self._presence.runs(name):
            raise NodeGone(f"node {name} does not run", name)
        if len(question) > LONGEST_QUESTION:
            raise NodeError(f"nodes are asked with at most {LONGEST_QUESTION} bytes", name)

    async def _request(self, name: str, question: bytes, timeout: float, kind: str) -> bytes:
        subject = self._node.subjects.asks(kind, name)
        try:
            answer = await self._node.connection.request(subject, question, timeout)
        except nats.errors.NoRespondersError:
            if await self._node.answers(name) is False:
                raise NodeGone(f"node {name} does not run", name) from None
            raise NodeError(
                f"node {name} can't be asked: LITEYUKI_CONTROL is false there, it is a NoneBot "
                "without a main process, or it is about to start or to stop",
                name,
            ) from None
        except (nats.errors.TimeoutError, asyncio.TimeoutError):
            raise NodeTimeout(f"node {name} has not answered within {timeout:g} s", name) from None
        except (nats.errors.Error, OSError) as error:
            raise ClusterError(
                f"the NATS server at {self._node.connection.shown} is gone: {error!r}"
            ) from error
        if not answer:
            raise NodeError(f"node {name} is asked too much at this moment", name)
        return answer

    async def _asked_here(self, answer: Callable[[bytes], bytes], msg: Msg) -> None:
        if not msg.reply:
            return
        if self._under_way >= _MOST or len(msg.data) > LONGEST_QUESTION:
            await self._reply(msg, b"")
            return
        self._under_way += 1
        self._node.task(self._answer_one(answer, msg))

    async def _answer_one(self, answer: Callable[[bytes], bytes], msg: Msg) -> None:
        try:
            loop = asyncio.get_running_loop()
            await self._reply(msg, await loop.run_in_executor(self._threads, answer, msg.data))
        except Exception as error:  # Who has asked is to be told. At a stop there are no threads.
            if not self._node.stopping:
                log.logger.opt(exception=error).error(
                    say("what another node has asked could not be answered")
                )
            await self._reply(msg, b"")
        finally:
            self._under_way -= 1

    async def _reply(self, msg: Msg, answer: bytes) -> None:
        with suppress(nats.errors.Error, OSError):
            await self._node.connection.tell(msg.reply, answer)

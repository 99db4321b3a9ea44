"""The callbacks that answer the requests of one end.

A runner owns the `Answers`, as it owns `Callbacks` for messages. One callback answers a request:
the first whose filter lets it through. What it returns or raises goes to the source of the
requests. If nobody waits for the answer any more, an async callback is cancelled, and the answer of
a sync one is dropped.

Threads: as `callbacks.py` says.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from time import monotonic
from typing import Any, Protocol

from ...language import Phrase
from .callbacks import EXITS, FREE, Callbacks, Registration, Unbegun, name_of
from .source import Source

_GRACE = 0.5
"""Seconds after a callback was registered in which others may be, before a request is refused."""

traceparent: ContextVar[str] = ContextVar("liteyuki_traceparent", default="")
"""The trace that requests made here belong to, as W3C Trace Context writes it; "": none. In an
`on_request` callback it is the trace of the request."""


class Request:
    """One request for an end: its number and its data, which are rebuilt before it is handled."""

    __slots__ = ("data", "far", "number", "task", "traceparent", "wrong")

    def __init__(self, number: int, data: Any, traceparent: str, far: bool) -> None:
        self.number = number
        self.data = data
        self.traceparent = traceparent
        self.far = far
        """Whether another node of the cluster asks."""
        self.wrong = ""
        """Why the data could not be rebuilt, if it could not."""
        self.task: asyncio.Task[Any] | None = None
        """The task that handles it, while that may be cancelled."""

    def cancel(self) -> None:
        """Cancel the handling, if it may be cancelled. On the loop's thread."""
        if self.task is not None:
            self.task.cancel()


class RequestSource(Source, Protocol):
    """The source of requests, as their callbacks see it. On the loop's thread."""

    def begins(self, request: Request) -> bool:
        """Note that a callback is chosen for a request; return False if nobody waits for it."""

    def is_cancelled(self, request: Request) -> bool:
        """Return whether nobody waits for the answer any more."""

    def forget(self, request: Request) -> None:
        """Note that a request was broken off. It is not answered."""

    def drop(self, request: Request) -> None:
        """End a request that nobody waits for, without an answer."""

    def answer(self, request: Request, data: Any) -> None:
        """Answer a request with what its callback has returned."""

    def raised(self, request: Request, error: BaseException) -> None:
        """Answer a request with what its callback has raised."""

    def refuse(self, request: Request, why: str) -> None:
        """Answer a request with the reason why there is no answer."""


class Answers(Callbacks):
    """The callbacks of one source of requests."""

    acknowledges = False
    _source: RequestSource
    _added_at = 0.0
    _only: Registration | None = None
    """The callback that answers every request: the first has no filter."""

    def add(self, registration: Registration) -> None:
        """Add a callback. From any thread, under the source's lock."""
        super().add(registration)
        self.call = self._handle
        self._added_at = monotonic()
        first = self._registered[0]
        self._only = first if first.filter_func is None else None

    async def _handle(self, request: Request) -> None:
        source = self._source
        if not source.begins(request):
            source.drop(request)
            return
        task = request.task = asyncio.current_task()
        token = traceparent.set(request.traceparent) if request.traceparent else None
        registration = self._only
        try:
            registration = registration or await self._choose_one(request)
            if request.wrong:
                source.refuse(request, request.wrong)
            elif registration is None:
                source.refuse(request, "no on_request callback takes it: no filter let it by")
            elif registration.is_async and self._places is None:
                source.answer(request, await registration.callback(request.data))
            else:
                source.answer(request, await self._in_its_place(registration, request))
        except asyncio.CancelledError as error:
            if self._loop.stopping:
                source.forget(request)
                raise
            if source.is_cancelled(request):
                if task is not None and hasattr(task, "uncancel"):
                    task.uncancel()  # The task goes on with other requests.
                source.drop(request)
            else:
                source.raised(request, error)
        except Unbegun:
            source.forget(request)
            raise
        except EXITS as error:
            self._exits(request, registration, error)
        except Exception as error:
            source.failed()
            source.raised(request, error)
        finally:
            request.task = None
            if token is not None:
                traceparent.reset(token)

    async def _in_its_place(self, registration: Registration, request: Request) -> Any:
        """Call a callback once it may run; return what it returns."""
        async with self._places or FREE:
            if self._loop.pausing and self._places is not None:
                raise Unbegun
            if not registration.is_async:
                request.task = None
            return await self._start(registration, request.data)

    def _exits(
        self, request: Request, registration: Registration | None, error: BaseException
    ) -> None:
        """End the process. Raises if the request counts as not handled."""
        callback = None if registration is None else registration.callback
        try:
            self._exit(Phrase("on_request callback {name}", name=name_of(callback)), error)
        except asyncio.CancelledError:
            self._source.forget(request)
            raise Unbegun from None
        self._source.raised(request, error)

    async def _choose_one(self, request: Request) -> Registration | None:
        """Return the callback that answers, or None if no filter lets the request through."""
        if request.wrong:
            return None
        registration = await self._first(request.data)
        while registration is None and (grace := self._added_at + _GRACE - monotonic()) > 0:
            await asyncio.sleep(grace)  # The callback that takes it may be the next in the file.
            registration = await self._first(request.data)
        return registration

    async def _first(self, data: Any) -> Registration | None:
        """Return the first callback whose filter lets the data through."""
        self._begin_deciding()
        try:
            for registration in self._registered:
                if await self._wants(registration, data):
                    return registration
        finally:
            self._decided()
        return None

"""What goes on, as it comes, as server-sent events (https://html.spec.whatwg.org, 9.2).

A client that comes again with `Last-Event-ID` goes on where it has stopped. One that reads slowly
holds nobody up: it waits alone, and what is forgotten meanwhile is told it as `lost`. One that
takes nothing for a minute is gone.

Ownership. A `Stream` owns nothing but its place in the source. It runs on the server's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..ring import Entry
from .models import Lost

T = TypeVar("T")

_AT_ONCE = 256
_PATIENCE = 60.0
"""Seconds that a client may take nothing."""


class Source(Protocol[T]):
    """What is followed: a `Ring`, or a `Peeking`."""

    def after(self, number: int, most: int) -> tuple[list[Entry[T]], int]:
        """Return the first entries after one, at most about `most`, and how many are forgotten."""

    def listen(self, call: Callable[[], object]) -> None:
        """Have `call` called when there may be new entries, until `unlisten`."""

    def unlisten(self, call: Callable[[], object]) -> None:
        """Call it no more."""


class Stream(Response):
    """Sends what comes in `source` after entry `number`, until the client is gone or `ended`.

    `read` makes the models that are sent of entries. Those of `first` are sent before.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: Source[T],
        number: int,
        read: Callable[[list[Entry[T]]], Iterable[BaseModel]],
        ended: asyncio.Event,
        first: Iterable[BaseModel] = (),
    ) -> None:
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._source: Source[Any] = source
        self._number = number
        self._read: Callable[[list[Entry[Any]]], Iterable[BaseModel]] = read
        self._ended = ended
        self._first = first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the client is gone, or the server ends."""
        loop = asyncio.get_running_loop()
        added = asyncio.Event()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(added.set)
            except RuntimeError:
                pass  # The loop has ended.

        async def wake_at_end() -> None:
            await self._ended.wait()
            added.set()

        sending = asyncio.ensure_future(self._send(send, added))
        leaving = asyncio.ensure_future(gone(receive))
        tasks = [sending, leaving, asyncio.ensure_future(wake_at_end())]
        self._source.listen(wake)
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._source.unlisten(wake)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self, send: Send, added: asyncio.Event) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        # A comment comes first: the client is to see that it is connected.
        text = ": \n\n" + "".join(map(_event, self._first))
        while True:
            if text:
                body = {"type": "http.response.body", "body": text.encode(), "more_body": True}
                await asyncio.wait_for(send(body), _PATIENCE)
            added.clear()
            entries, lost = self._source.after(self._number, _AT_ONCE)
            text = _event(Lost(lost=lost)) if lost else ""
            if entries:
                self._number = entries[-1].number
                text += "".join(map(_event, self._read(entries)))
            elif self._ended.is_set():
                await send({"type": "http.response.body", "body": b""})
                return
            else:
                await added.wait()


def _event(model: BaseModel) -> str:
    key = f"id: {key}\n" if (key := getattr(model, "id", None)) else ""
    return f"{key}event: {type(model).__name__.lower()}\ndata: {model.model_dump_json()}\n\n"


async def gone(receive: Receive) -> None:
    """Wait until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def number_after(last: str | None, life: str) -> int | None:
    """Return the number that a `Last-Event-ID` names.

    0 if another life of the bot has given it: all is new then. None if it names none.
    """
    if not last:
        return None
    before, _, number = last.rpartition("-")
    if before != life:
        return 0
    return int(number) if number.isascii() and number.isdigit() and len(number) < 16 else None

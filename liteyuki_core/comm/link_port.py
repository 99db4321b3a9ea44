"""A child's way to the hub: what the child sends and receives over its one link.

Ownership. A `LinkPort` owns the child's link; `shut` closes it.

Threads. The context, its ends and the way to the store call the methods of `ContextPort` and
`StorePort`, which say which of them are called under the context's lock. The thread or loop that
reads the link calls `_on_frames`. The reader's thread calls `_on_end`, once.

Invariant: what is queued for the hub about one channel leaves in the order of the calls, except
that `open`, `hold` and `begin` go before, and an acknowledgement leaves after all that was queued
before it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import (
    ChannelBroken,
    ChannelClosed,
    ChannelError,
    ChannelExists,
    ChannelTimeout,
    FrameError,
    NotConnected,
    RemoteError,
)
from .context import Context
from .ends.end import End
from .ends.port import ContextPort
from .loop.waiter import Reading
from .loop.wakes import Wake, fire
from .store import packed, question, value
from .store.question import OfKey, Question
from .store.value import Value
from .wire import frames, words
from .wire.batch import Batch, unpack
from .wire.bundle import unbundle
from .wire.endpoint import Endpoint
from .wire.link import Link

_REFUSALS = {kind.__name__: kind for kind in (ChannelClosed, ChannelBroken, RemoteError)}

_REPLY_SECONDS = 10.0

_SHORT_ANSWER = 128 * 1024
"""Answers up to so many bytes leave in one frame, with all their numbers, that is never cut."""


class LinkPort(ContextPort):
    """A child's way to the hub: its link.

    `on_word` is called where the link is read, with a word for this process. `on_lost` is called on
    the reader's thread, when the main process is gone. Both are called without the lock.
    """

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        *,
        on_word: Callable[[words.ToProcess], None],
        on_lost: Callable[[str | None], None],
    ) -> None:
        self._context = context
        self._on_word = on_word
        self._on_lost = on_lost
        self.prefix = ""
        self._names: dict[str, tuple[int, str]] = {}
        self._connected = threading.Event()
        self._replies: dict[int, _Reply] = {}
        self._requests = 0
        self._values: list[Value] = []
        """The values that have come of a store frame in parts."""
        self._shutting = False
        self._ended = False
        self._link = Link(
            endpoint,
            "main",
            max_message_bytes=context.max_message_bytes,
            on_frames=self._on_frames,
            on_end=self._on_end,
        )

    def start(self, timeout: float) -> None:
        """Start the link; wait up to `timeout` seconds for the names. Raises `NotConnected`."""
        self._link.start()
        if not self._connected.wait(timeout):
            raise NotConnected(f"the main process did not answer within {timeout:g} s")

    def word(self, word: words.FromChild) -> None:
        self._link.queue(0, words.encode(word))
        self._link.pump()

    # ------------------------------------------------------------- to the hub

    def data(self, number: int, batch: Batch) -> None:
        self._link.queue_batch(number, batch)

    def acknowledge(
        self, number: int, ranges: list[tuple[int, int]], requests: bool = False
    ) -> None:
        # The receiver may have answered the message on any channel. The answer leaves first: else
        # it could be lost, and the message would count as handled.
        if requests:
            frame = frames.acknowledgement(number, ranges, frames.OF_REQUESTS)
            self._link.queue_frame_last(frame)
        else:
            self._link.queue_last(number, ranges)

    def begin(self, number: int, first: int, requests: bool) -> None:
        flags = frames.BEGUN | (frames.OF_REQUESTS if requests else 0)
        self._link.queue(0, frames.acknowledgement(number, [(first, 1)], flags))

    def give_answers(self, number: int, batch: Batch) -> None:
        # An answer acknowledges its request, so it leaves last. A long frame may not: it has to
        # keep its place in its own stream.
        headers = batch.headers
        assert headers is not None
        if batch.size <= _SHORT_ANSWER:
            self._link.queue_frame_last(batch.frame(number))
        else:
            held = batch.with_headers(headers._replace(held=True))
            self._link.queue(number, held.frame(number))
            word = words.Answered(list(headers.answer))
            self._link.queue_frame_last(words.encode(word, number))

    def ready_to_answer(self, number: int, window: int) -> None:
        self._link.queue(number, words.encode(words.Answers(window), number))

    def cancel(self, number: int, request: int, kill: bool) -> None:
        self._link.queue(number, words.encode(words.Cancel(request, kill), number))

    def ready(self, number: int, window: int, asks: bool) -> None:
        self._link.queue(number, words.encode(words.Receives(window, asks), number))

    def ask_for(self, number: int, period: int, count: int) -> None:
        self._link.queue(number, words.encode(words.AskFor(period, count), number))

    def give_back(
        self, number: int, period: int, ranges: list[tuple[int, int]], requests: bool
    ) -> None:
        self._link.queue(number, words.encode(words.GiveBack(period, ranges, requests), number))

    def close(self, number: int) -> None:
        self._link.queue(number, words.encode(words.Close(), number))

    def leave(self, number: int) -> None:
        self._link.queue(number, words.encode(words.Leave(), number))

    def hold(self, key: str) -> None:
        self._link.queue(0, words.encode(words.Hold(key)))

    def pump(self) -> None:
        self._link.pump()

    def flush(self) -> None:
        self._link.flush()

    def names(self) -> Mapping[str, tuple[int, str]]:
        return self._names

    def find(self, name: str) -> tuple[int, str] | None:
        return self._names.get(name)

    def open(self, number: int, key: str | None, capacity: int) -> None:
        # Stream 0 goes first. So no message that carries the channel overtakes this word.
        self._link.queue(0, words.encode(words.Open(key, capacity), number))

    def register(self, number: int, name: str) -> None:
        reply = _Reply()
        with self._context.lock:
            if self._ended:
                raise ChannelBroken(f"channel {name}: the main process is gone", name)
            self._requests += 1
            request = self._requests
            self._replies[request] = reply
            self._link.queue(number, words.encode(words.Register(name, request), number))
        self.pump()
        answered = reply.arrived.wait(_REPLY_SECONDS)
        with self._context.lock:
            self._replies.pop(request, None)
        if not answered:
            raise ChannelTimeout(
                f"channel {name}: the main process did not answer within {_REPLY_SECONDS:g} s", name
            )
        if reply.error is not None:
            raise reply.error

    def ask(self, number: int, asked: Question) -> None:
        if isinstance(asked, OfKey):
            self._link.queue(frames.STORE_STREAM, packed.question(number, asked))
            return
        fields, values = question.write(asked)
        for frame in value.store({**fields, "request": number}, values):
            self._link.queue(frames.STORE_STREAM, frame)

    def loop_waits(self) -> None:
        self._link.loop_waits()

    @property
    def is_written(self) -> bool:
        return self._link.is_written

    def will_wait(self) -> Reading | None:
        return self._link.will_wait()

    def shut(self, timeout: float) -> dict[int, int]:
        self._shutting = True
        return self._link.close(timeout)

    def abandon(self) -> None:
        self._link.abandon()

    # ------------------------------------------------------------- from the hub

    def _on_frames(self, arrived: list[frames.Frame]) -> list[Wake]:
        context = self._context
        wakes: list[Wake] = []
        rest: list[words.ToProcess] = []
        told = False
        try:
            with context.lock:
                wakes = context.wakes.gather()
                try:
                    for frame in arrived:
                        self._on_frame(frame, rest)
                        told = told or frame.kind == frames.CONTROL
                finally:
                    context.wakes.release()
            if told:
                self._link.pump()  # An end may have queued its reply to a word.
            for word in rest:
                self._on_word(word)
        except BaseException:
            fire(wakes, None)  # Those that earlier frames have served must not wait for ever.
            raise
        return wakes

    def _on_frame(self, frame: frames.Frame, rest: list[words.ToProcess]) -> None:
        end = self._context.ends.get(frame.channel)
        if frame.kind == frames.DATA:
            batch = unpack(frame, kept=False)
            if end is not None:
                if batch.headers is None:
                    end.receiving.on_data(batch)
                elif batch.headers.request is None:
                    end.asking.on_answer(batch)
                else:
                    end.answering.on_data(batch)
        elif frame.kind == frames.MANY:
            ends = self._context.ends
            for number, batch in unbundle(frame, kept=False):
                end = ends.get(number)
                if end is not None:
                    end.receiving.on_data(batch)
        elif frame.kind == frames.ACK:
            count = sum(count for _, count in frames.acknowledged(frame))
            if end is not None:
                end.sending.on_acknowledged(count)
        elif frame.kind == frames.STORE and frame.flags:
            request, found = packed.answered(frame.body)
            self._context.access.answered(request, found, [])
        elif frame.kind == frames.STORE:
            self._on_store(*value.stored(frame))
        else:
            self._on_control(frame.channel, words.from_main(frame), end, rest)

    def _on_store(self, fields: dict[str, Any], values: list[Value]) -> None:
        self._values += values
        if fields.get("part"):
            return
        values, self._values = self._values, []
        request = fields.pop("request", None)
        try:
            if request is None:
                self._context.access.told(fields, values)
            else:
                self._context.access.answered(request, fields, values)
        except (LookupError, TypeError) as error:
            raise FrameError(f"store frame {fields!r} is not known: {error!r}") from error

    def _on_control(
        self, number: int, word: words.FromMain, end: End | None, rest: list[words.ToProcess]
    ) -> None:
        """Do what a word about channels says; add a word for this process to `rest`."""
        match word:
            case words.Names(add, remove, prefix):
                self.prefix = prefix
                self._names.update(add)
                for name in remove:
                    self._names.pop(name, None)
                self._connected.set()
            case words.Dropped(count):
                if end is not None:
                    end.sending.on_dropped(count)
            case words.Shared(period, requests):
                if end is not None:
                    (end.answering if requests else end.receiving).on_shared(period)
            case words.Cancelled(numbers):
                if end is not None:
                    end.answering.on_cancelled(numbers)
            case words.Refused(numbers, kind, why):
                if end is not None:
                    end.asking.on_refused(numbers, _REFUSALS[kind], why)
            case words.Returned():
                if end is not None:
                    end.on_gone(None, "", False, 0)
            case words.Gone(broken, why, last, holds, lines):
                if end is not None:
                    error = ChannelBroken if broken else ChannelClosed
                    end.on_gone(error, why, last, holds, tuple(lines))
            case words.Registered(request, key, error):
                if key is not None:
                    self._context.rekey(number, key)
                reply = self._replies.get(request)
                if reply is not None:
                    reply.error = None if error is None else ChannelExists(*error)
                    reply.arrived.set()
            case _:
                rest.append(word)

    def _on_end(self, why: str | None) -> None:
        self._connected.set()
        with self._context.lock:
            self._ended = True
            for reply in self._replies.values():
                reply.error = ChannelBroken("the main process is gone")
                reply.arrived.set()
        if not self._shutting:
            self._context.lost(ChannelBroken, "the main process is gone")
            self._on_lost(why)


class _Reply:
    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.error: ChannelError | None = None

"""The `Channel`: a handle on one end, with sync and async methods.

A handle holds its end, which the context owns. When a handle is deleted it tells the end. Any
thread may call it.

Invariant: a handle has one end from its first use on.
"""

from __future__ import annotations

from asyncio import _get_running_loop
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextvars import ContextVar
from functools import wraps
from threading import TIMEOUT_MAX, get_ident
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar, overload

from ..errors import (
    ChannelClosed,
    ChannelEmpty,
    ChannelError,
    ChannelFull,
    WouldBlockLoop,
)
from .current import current
from .ends.end import End, Handle
from .ends.inbox import Inbox
from .ends.sending import SMALL, CarriesChannel, Sending
from .ends.typed import Check, check_for, kind_of
from .loop.callbacks import Registration
from .loop.receiver import Receiver, of_thread
from .loop.receiver import current as current_receiver
from .loop.steps import async_wait, async_waiter, wait
from .loop.waiter import SyncWaiter
from .wire.frames import MAX_CAPACITY

T = TypeVar("T")
F = TypeVar("F", bound=Callable[[Any], Any])

NAME_LENGTH = 200
"""The most characters that the name of a channel may have."""

_NUMBERS = (int, float)

receive_observer: ContextVar[Callable[[bool], None] | None] = ContextVar(
    "liteyuki_receive_observer", default=None
)
"""Each receive that may wait calls the function that is set in its context variables: with False
at its start, with True when it starts to wait. The NoneBot driver mixin learns by it that a startup
hook serves a channel."""


class Either(Protocol):
    """What `on_receive` returns for one function: it can be called as that function, or used as a
    decorator."""

    @overload
    def __call__(self, callback: F, /) -> F: ...

    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


class Channel(Handle, Generic[T]):
    """A named full-duplex pipe between processes with two ends.

    The process that creates it holds one end. A process that gets it by name holds the other. Each
    direction is first in, first out, and holds at most `capacity` messages that were sent and are
    not yet acknowledged. A message is a value: it is serialised when it is sent.

    A channel may be created anywhere and at any time. It needs a running LiteyukiBot only when it
    is used, and raises `NotConnected` otherwise. Any thread may call all methods. Timeouts are in
    seconds, and None waits for ever. A timeout that is no number raises `TypeError`, one that is
    negative or NaN `ValueError`.

    A `Channel[T]`, or a subclass of it, checks that the data it sends is of type `T`, as strictly
    as pydantic can: `True` is no int, "1" is no int, and data is sent as it was given. Only this
    handle checks; a handle that is got by name does if it is got with a type. `type_check=False`
    turns the check off. A `T` that can't be checked raises `ChannelTypeError` at the first use.

    Raises `ValueError` for a capacity below 1 or over 10,000,000, and for a name that is empty or
    over 200 characters. Raises `TypeError` for arguments of a wrong type.
    """

    _type_check: bool | None = None
    _check: Check | None = None
    _unchecked: Sending | None = None
    """The sending half, once it is known that no data has to be checked."""

    def __init__(
        self,
        name: str | None = None,
        *,
        capacity: int = 1024,
        type_check: bool | None = None,
    ) -> None:
        if name is not None:
            check_name(name)
        if isinstance(capacity, bool) or not isinstance(capacity, int):
            raise TypeError(f"capacity must be an int, not {type(capacity).__name__}")
        if not 0 < capacity <= MAX_CAPACITY:
            raise ValueError(f"capacity must be from 1 to {MAX_CAPACITY}, not {capacity}")
        if type_check is not None and not isinstance(type_check, bool):
            raise TypeError(f"type_check must be True, False or None, not {type_check!r}")
        self._name = name
        self._capacity = capacity
        self._type_check = type_check
        self._end: End | None = None

    def __del__(self) -> None:
        end = getattr(self, "_end", None)
        if end is not None:
            end.lost_handle()

    @classmethod
    def _of(cls, end: End) -> Channel[Any]:
        channel: Channel[Any] = cls.__new__(cls)
        channel._end = None
        channel._name = end.name
        channel._capacity = end.capacity
        channel._take(end)
        return channel

    def _open(self) -> End:
        end = self._end
        if end is None:
            self._find_check()
            made = current().make(self._name, self._capacity)
            made.hash = object.__hash__(self)  # As before it had an end.
            end = self._take(made)
            self._tell_type(end)
        return end

    def _find(self) -> End | None:
        """Return this handle's end, or None if it has none yet. Never makes one."""
        return self._end

    def __eq__(self, other: object) -> bool:
        """Return whether both are handles on the same end of a channel in this process."""
        if self is other:
            return True
        if not isinstance(other, Channel):
            return NotImplemented
        end = self._find()
        return end is not None and end is other._find()

    def __hash__(self) -> int:
        end = self._find()
        return object.__hash__(self) if end is None else end.hash

    def _take(self, end: End) -> End:
        with end.lock:
            end.took_handle()
            if self._end is None:
                self._end = end
                return end
        end.lost_handle()  # Another thread was quicker.
        return self._end

    def _named(self, name: str) -> None:
        """Note that the channel can be got by this name."""
        self._name = name

    def _to_send(self, data: T) -> Sending:
        """Return the sending half. Raise `ChannelTypeError` if `data` may not be sent."""
        sending = (self._end or self._open()).sending
        check = self._check or self._find_check(needed=self._type_check is True)
        if check is None:
            self._unchecked = sending
        else:
            check(data, sending.name)
        return sending

    def _find_check(self, *, needed: bool = False) -> Check | None:
        # At the first use, because typing sets the type of the object after `__init__`.
        if self._type_check is not False:
            self._check = check_for(self, Channel, self._name or "(unnamed)", needed)
        return self._check

    def _be_of_type(self, kind: Any) -> None:
        """Be a `Channel[kind]`, as a handle that was got by name."""
        self.__orig_class__ = Channel[kind]
        self._find_check()
        self._tell_type(self._open())

    def _tell_type(self, end: End) -> None:
        if end.crosses and self._check is not None:
            end.be_of_type(kind_of(self, Channel))

    def __reduce__(self) -> Any:
        raise CarriesChannel(
            "a channel is no value: it can be sent through a channel and nowhere else"
        )

    @property
    def name(self) -> str | None:
        """The channel's name, or None if it has none."""
        return self._name

    @property
    def capacity(self) -> int:
        """How many messages may be sent and not yet acknowledged in each direction."""
        return self._capacity

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._name!r}>"

    # ------------------------------------------------------------- sending

    def send(self, data: T, timeout: float | None = None) -> None:
        """Send `data`, a value that pickle can carry.

        Waits for room up to `timeout` seconds (None: for ever). On a thread that runs an event loop
        it never waits: a full channel raises `ChannelFull` at once.

        Raises `ChannelTypeError`, `SendError`, `MessageTooLarge`, `ChannelFull`, `ChannelTimeout`,
        `ChannelClosed`, `ChannelBroken`, `NotConnected`. If it raises, nothing was sent.
        """
        if timeout is not None:
            timeout = check_timeout(timeout)
        sending = self._unchecked or self._to_send(data)
        if type(data) is str and sending.text_reserved > 0 and sending.gather(data):
            return
        item, length = sending.serialise(data)
        if sending.payload_reserved > 0 and sending.gather_payload(item, length):
            return
        if not sending.offer(item, length):
            if _get_running_loop() is not None:
                raise ChannelFull(
                    f"channel {sending.name}: {sending.capacity} messages are sent and not yet "
                    "handled; on an event loop's thread use `await async_send(...)` to wait for "
                    "room",
                    sending.name,
                )
            wait(sending.until_accepted(SyncWaiter, item, length, timeout))

    async def async_send(self, data: T, timeout: float | None = None) -> None:
        """Send `data`. Wait for room up to `timeout` seconds (None: for ever).

        If it is cancelled while it waits, nothing was sent. Raises what `send` raises, but never
        `ChannelFull`.
        """
        if timeout is not None:
            timeout = check_timeout(timeout)
        sending = self._unchecked or self._to_send(data)
        if (  # `Sending.gather`, written out, because most messages of most programs go here.
            type(data) is str
            and sending.text_reserved > 0
            and len(data) <= SMALL  # type: ignore[arg-type]
            and get_ident() == sending.gatherer
            and sending.gathering.is_running()
        ):
            sending.text_reserved -= 1
            sending.gathered.append(data)
            return
        item, length = sending.serialise(data)
        if sending.payload_reserved > 0 and sending.gather_payload(item, length):
            return
        if not sending.offer(item, length):
            steps = sending.until_accepted(async_waiter(), item, length, timeout, at_once=False)
            await async_wait(steps)

    # ------------------------------------------------------------- requests

    def request(self, data: T, timeout: float | None = None, *, once: bool = False) -> Any:
        """Send `data` as a request; return the answer of the other side.

        An `on_request` callback of the other side answers: what it returns is the answer. Waits for
        room and for the answer up to `timeout` seconds (None: for ever). On a thread that runs an
        event loop it raises `WouldBlockLoop`; use `async_request` there.

        If the process that handles the request ends before it has answered, its successor handles
        the request again. With `once=True` a request whose handling had begun is not tried again.

        Raises `RemoteError` if the callback has raised, if no callback takes the request, or if the
        request or the answer can't be rebuilt or sent. Raises `ChannelBroken` if whoever handled it
        is given up, if it was being handled in `max_redeliveries` crashes in a row, or with
        `once=True` if its handling was broken off. Raises `ChannelTimeout`, and what `send` raises
        except `ChannelFull`. After a timeout nobody handles the request any more: an async callback
        is cancelled, the answer of a sync callback is dropped.
        """
        timeout = check_timeout(timeout)
        if _get_running_loop() is not None:
            raise WouldBlockLoop(
                f"channel {self._name or '(unnamed)'}: request() would stop this thread's event "
                "loop until the answer comes; use `await channel.async_request(...)` here"
            )
        sending = self._unchecked or self._to_send(data)
        item, length = sending.serialise(data)
        end = self._end or self._open()
        asking = end.asking
        asked = wait(asking.until_answered(SyncWaiter, item, length, timeout, once))
        return asking.result(asked, end.receiving.load_answer)

    async def async_request(
        self, data: T, timeout: float | None = None, *, once: bool = False
    ) -> Any:
        """Send `data` as a request; return the answer of the other side. From any event loop.

        Waits for room and for the answer up to `timeout` seconds (None: for ever). If it is
        cancelled, nobody handles the request any more. Raises what `request` raises, but never
        `WouldBlockLoop`.
        """
        if timeout is not None:
            timeout = check_timeout(timeout)
        sending = self._unchecked or self._to_send(data)
        item, length = sending.serialise(data)
        end = self._end or self._open()
        asking = end.asking
        steps = asking.until_answered(async_waiter(), item, length, timeout, once)
        return asking.result(await async_wait(steps), end.receiving.load_answer)

    def __lshift__(self, data: T) -> Channel[T]:
        """Send `data`, as `send(data)` does: `channel << data`."""
        self.send(data)
        return self

    # ------------------------------------------------------------- receiving

    def receive(self, timeout: float | None = None) -> T:
        """Return the next message. Wait for it up to `timeout` seconds (None: for ever).

        The message is acknowledged when the thread or task that calls this asks for the next
        message, or ends. On a thread that runs an event loop this does not wait: it raises
        `WouldBlockLoop` if there is no message yet.

        Raises `ChannelTimeout`, `WouldBlockLoop`, `ChannelModeError`, `NotConnected`. When all
        messages are received, raises `ChannelClosed` or `ChannelBroken`. A timeout loses nothing.
        """
        if timeout is not None:
            timeout = check_timeout(timeout)
        receiving = (self._end or self._open()).receiving
        observer = receive_observer.get()
        if observer is not None:
            observer(False)
        who = of_thread()
        if not receiving.received_by_target:
            receiving.note_receiver(who)
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            message = receiving.take_nowait(who)
            if message is None:
                if _get_running_loop() is not None:
                    raise WouldBlockLoop(
                        f"channel {receiving.name}: receive() would stop this thread's event loop "
                        "until a message comes; use `await channel.async_receive()` here"
                    )
                if observer is not None:
                    observer(True)
                message = wait(receiving.until_message(SyncWaiter, who, timeout, deadline))
            rebuilt, data = receiving.rebuild(message[1])
            if rebuilt:
                return data  # type: ignore[no-any-return]

    def receive_nowait(self) -> T:
        """Return the next message that has arrived. Never waits.

        Raises `ChannelEmpty` if there is none, and otherwise what `receive` raises.
        """
        receiving = (self._end or self._open()).receiving
        who = of_thread()
        while True:
            message = receiving.take_nowait(who)
            if message is None:
                receiving.poll()
                raise ChannelEmpty(
                    f"channel {receiving.name}: no message has arrived", receiving.name
                )
            rebuilt, data = receiving.rebuild(message[1])
            if rebuilt:
                return data  # type: ignore[no-any-return]

    def async_receive(self, timeout: float | None = None) -> Coroutine[Any, Any, T]:
        """Return the next message. Wait for it up to `timeout` seconds (None: for ever). Awaitable.

        From any event loop. The message is acknowledged when the task that calls this asks for the
        next message, or ends. A cancellation or a timeout loses nothing. Raises what `receive`
        raises, but never `WouldBlockLoop`.
        """
        # The task that calls this handles the message. Another task may only await it.
        return self._async_receive(timeout, current_receiver())

    async def _async_receive(self, timeout: float | None, caller: Receiver | None) -> T:
        if timeout is not None:
            timeout = check_timeout(timeout)
        receiving = (self._end or self._open()).receiving
        observer = receive_observer.get()
        if observer is not None:
            observer(False)
        who = caller or of_thread()
        if not receiving.received_by_target:
            receiving.note_receiver(who)
        deadline = None if timeout is None else monotonic() + timeout
        while True:
            # If nothing has arrived, only `until_message` asks, because to ask twice takes time. An
            # observer is told of a wait only after a first asking has found nothing.
            asks = observer is not None or receiving.has_arrived
            message = receiving.take_nowait(who) if asks else None
            if message is None:
                if observer is not None:
                    observer(True)
                message = await async_wait(
                    receiving.until_message(async_waiter(), who, timeout, deadline)
                )
            rebuilt, data = receiving.rebuild(message[1])
            if rebuilt:
                return data  # type: ignore[no-any-return]

    def __iter__(self) -> Iterator[T]:
        """Iterate over messages until the channel is closed and all are received."""
        try:
            while True:
                yield self.receive()
        except ChannelClosed:
            return

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over messages until the channel is closed and all are received."""
        # Not an async generator, because a loop must close one that is not run to its end.
        return self

    def __anext__(self) -> Coroutine[Any, Any, T]:
        return self._next(current_receiver())

    async def _next(self, caller: Receiver | None) -> T:
        try:
            return await self._async_receive(None, caller)
        except ChannelClosed:
            raise StopAsyncIteration from None

    @overload
    def on_receive(self, callback: Callable[[T], Any], /) -> Either: ...

    @overload
    def on_receive(
        self,
        positional: Callable[[T], Any] | None = None,
        /,
        *,
        filter_func: Callable[[T], Any] | None = None,
        ordered: bool = False,
        concurrency: int | None = None,
        on_end: Callable[[ChannelError], Any] | None = None,
    ) -> Callable[[F], F]: ...

    def on_receive(
        self,
        positional: Callable[[T], Any] | None = None,
        /,
        *,
        filter_func: Callable[[T], Any] | None = None,
        ordered: bool = False,
        concurrency: int | None = None,
        on_end: Callable[[ChannelError], Any] | None = None,
    ) -> Any:
        """Decorate a callback for messages, with parentheses or without. Several may be registered.

        Callbacks start in message order on the process's loop: LiteyukiBot's in the main process,
        NoneBot's in a NoneBot child, elsewhere a loop that runs in a thread. An async callback runs
        on that loop, a sync callback in a worker thread. Messages that come before the loop runs
        are kept.

        As many async callbacks run at a time as messages come, and at most 32 sync callbacks. With
        `ordered=True` this callback runs for one message at a time. `concurrency` bounds how many
        callbacks of this channel end run at a time, all together; if several are given, the
        smallest counts. Sync callbacks then have as many threads. Messages that no callback may
        take yet wait unacknowledged, so a slow consumer slows its sender.

        `filter_func`, sync or async, runs on the loop and says whether a message is for this
        callback. A message is acknowledged when all its callbacks have ended. If a callback or a
        filter raises, the error is logged with the channel's name, and the channel lives on. But
        SystemExit, as by `sys.exit()`, ends the process with its code, and KeyboardInterrupt ends
        it as Ctrl+C does. Then a line in the log names the callback, callbacks that run have time
        to end, and no other message is taken. With code 0 the message counts as handled. With any
        other code it is not acknowledged, as in a crash.

        `on_end`, sync or async, is called with `ChannelClosed` or `ChannelBroken` when the other
        side has closed or will not come back, and the callbacks of all that it had sent have ended.
        If the other side comes back and ends again, it is called again. It is not called for a
        `close()` in this process, nor when this process stops.

        A function that is given alone, without its keyword, is a callback. If the result is used as
        a decorator at once, the function is the filter of the callback that this decorates.

        Raises `TypeError` for an object that can't be called and for a `concurrency` that is no
        int, and `ValueError` for a `concurrency` below 1. The decorator raises `ChannelModeError`
        on an end that `receive` was used on.
        """
        return self._decorator("on_receive", positional, filter_func, ordered, concurrency, on_end)

    @overload
    def on_request(self, callback: Callable[[T], Any], /) -> Either: ...

    @overload
    def on_request(
        self,
        positional: Callable[[T], Any] | None = None,
        /,
        *,
        filter_func: Callable[[T], Any] | None = None,
        concurrency: int | None = None,
    ) -> Callable[[F], F]: ...

    def on_request(
        self,
        positional: Callable[[T], Any] | None = None,
        /,
        *,
        filter_func: Callable[[T], Any] | None = None,
        concurrency: int | None = None,
    ) -> Any:
        """Decorate a callback that answers requests, with parentheses or without.

        What the callback returns is the answer. What it raises comes to the asker as `RemoteError`.
        Several may be registered: the first whose `filter_func` lets the request through answers.
        They run where `on_receive` callbacks do, beside them: requests do not wait for messages. An
        end that is read with `receive` may answer requests too.

        As many async callbacks run at a time as requests come, and at most 32 sync callbacks;
        `concurrency` bounds how many of this channel end run at a time, all together. Other
        requests wait. If the asker gives up, an async callback is cancelled, and the answer of a
        sync callback is dropped.

        Raises what `on_receive` raises, except `ChannelModeError`.
        """
        return self._decorator("on_request", positional, filter_func, False, concurrency)

    def _decorator(
        self,
        door: str,
        positional: Callable[[T], Any] | None,
        filter_func: Callable[[T], Any] | None,
        ordered: bool,
        concurrency: int | None,
        on_end: Callable[[ChannelError], Any] | None = None,
    ) -> Any:
        if on_end is not None and not callable(on_end):
            raise TypeError(f"on_end must be callable, not {type(on_end).__name__}")
        if positional is not None and filter_func is not None:
            raise TypeError(f"{door} takes one filter_func; write @channel.{door}(filter_func=...)")
        filter_func = filter_func if positional is None else positional
        if filter_func is not None and not callable(filter_func):
            raise TypeError(
                f"filter_func must be callable, not {type(filter_func).__name__}; "
                f"write @channel.{door}(filter_func=...)"
            )
        if concurrency is not None:
            if isinstance(concurrency, bool) or not isinstance(concurrency, int):
                raise TypeError(f"concurrency must be an int, not {type(concurrency).__name__}")
            if concurrency < 1:
                raise ValueError(f"concurrency must be at least 1, not {concurrency}")

        def inbox() -> Inbox:
            end = self._end or self._open()
            return end.receiving if door == "on_receive" else end.answering

        def decorator(callback: F) -> F:
            if not callable(callback):
                raise TypeError(f"a callback must be callable, not {type(callback).__name__}")
            inbox().register(Registration(callback, filter_func, ordered, concurrency, on_end))
            return callback

        if positional is None or ordered or concurrency is not None or on_end is not None:
            return decorator
        return self._callback_or_filter(positional, decorator, inbox())

    def _callback_or_filter(
        self, function: Callable[[T], Any], decorator: Callable[[F], F], inbox: Inbox
    ) -> Either:
        """Register a function as a callback. Return an object that may still make it a filter."""
        undecided = Registration(function, None, False)
        inbox.register(undecided, undecided=True)
        filters = False

        @wraps(function)
        def either(*args: Any, **kwargs: Any) -> Any:
            nonlocal filters
            if len(args) == 1 and not kwargs and callable(args[0]):
                if filters:
                    return decorator(args[0])
                if inbox.decide(undecided, Registration(args[0], function, False)):
                    filters = True
                    return args[0]
            inbox.decide(undecided)
            return function(*args, **kwargs)

        return either

    def stats(self) -> dict[str, int]:
        """Return the counters of this end. Never waits. Works also after `close`.

        - `sent`: messages that a send here has accepted
        - `acknowledged`: messages sent here whose handling on the other side has ended
        - `received`: messages given to callbacks (before their filters) or by a receive here
        - `backlog`: messages that have arrived here and were not yet given to a callback or receive
        - `redelivered`: messages that came again because a process had died handling them
        - `dropped`: messages set aside after `max_redeliveries`, or dropped unread by a close
        - `errors`: callbacks and filters that raised, messages that couldn't be rebuilt
        - `capacity`: the channel's capacity, in messages for each direction
        - `bytes`: serialised messages, sent and arrived here together

        A message that comes again counts again as received. While messages pass, one counter may be
        a few messages behind another. All are exact when no messages pass.
        """
        return (self._end or self._open()).stats()

    # ------------------------------------------------------------- ending

    @property
    def closed(self) -> bool:
        """Whether this end was closed in this process."""
        end = self._end
        return end is not None and end.closed

    def close(self) -> None:
        """Close the channel. Never waits. Idempotent. From any thread.

        Threads and tasks that wait on this end get `ChannelClosed`. The other side receives the
        messages that were sent before, and then `ChannelClosed`.
        """
        end = self._end or self._open()
        end.close()


Channel._shared_class = Channel


def check_timeout(timeout: object) -> float | None:
    """Return `timeout` as a float, or None if it is None or longer than a thread can wait.

    Raises `TypeError` if it is no number, `ValueError` if it is negative or NaN.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, _NUMBERS):
        raise TypeError(
            f"a timeout is a number of seconds, or None for ever; not {type(timeout).__name__}"
        )
    if not timeout >= 0:
        raise ValueError(f"a timeout must be 0 or more seconds, not {timeout}")
    return float(timeout) if timeout < TIMEOUT_MAX else None


def check_name(name: object) -> str:
    """Return `name` if a channel or a child may have it. Else raise `TypeError` or `ValueError`."""
    if not isinstance(name, str):
        raise TypeError(f"a name must be a string, not {type(name).__name__}")
    if not name or len(name) > NAME_LENGTH or not name.isprintable():
        raise ValueError(
            f"a name must have 1 to {NAME_LENGTH} printable characters, not {name[:40]!r}"
        )
    return name

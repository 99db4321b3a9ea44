"""What the main process and an ASGI child tell each other about connections, as plain data.

On the channel `NAME-gateway` of each child NAME that has a gateway. The child sends `Serves`, then
`Listen` and `Up` as requests, when it starts. The main process sends a request for each HTTP
request and each WebSocket. An HTTP request lasts as long as its answer: if that is short, it is the
answer here too. Otherwise the child sends `Begun` with a channel, and the rest comes on that.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..comm.channel import Channel

CAPACITY = 10_000
"""How many requests may be under way to a child."""

PIECE = 64 * 1024
"""At most so many bytes of a body travel in one message."""

PIECES = 16
"""So many of these may be under way for one body. More wait for whoever reads it."""

FRAMES = 64
"""So many frames of one WebSocket may be under way in each direction."""


class Serves(NamedTuple):
    """The child's application is one that serves connections, as soon as it has been loaded."""


class Listen(NamedTuple):
    """The child is about to start, and wants to be reached at this address."""

    host: str
    port: int
    backlog: int
    options: dict[str, Any]
    """What uvicorn's `Config` is to be made with, by name. Only what concerns the socket."""


class Listening(NamedTuple):
    """The answer to `Listen`: where the main process listens for the child."""

    addresses: list[tuple[str, int]]
    kept: int
    """How many connections an earlier process of the child has left, to be connected again."""


class Refused(NamedTuple):
    """The answer to `Listen` if that can't be: the system's error."""

    code: int
    text: str


class Up(NamedTuple):
    """The child's application has started and takes connections."""

    adapters: dict[str, str]
    """By path: the name of the adapter that takes WebSockets there."""


class Http(NamedTuple):
    """An HTTP request. The answer is `Answer`, or None after `Begun`."""

    id: int
    scope: dict[str, Any]
    body: bytes
    more: Channel[Any] | None
    """Brings the rest of the body in pieces of bytes, then None. The child sends True when the
    application asks for the first piece."""


class Answer(NamedTuple):
    """The whole answer to an HTTP request."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    broken: bool
    """Whether the application has failed in the middle of it."""


class Begun(NamedTuple):
    """The answer to an HTTP request has begun; the rest of its body comes in pieces."""

    id: int
    status: int
    headers: list[tuple[bytes, bytes]]
    pieces: Channel[Any]
    """Brings pieces of bytes, then whether the answer is whole."""


class WebSocket(NamedTuple):
    """A WebSocket that wants to be accepted. The answer is None, at once.

    On `frames` the child sends str and bytes to the client, ASGI events that are no frames,
    `Opened` when it has been sent that, None when the application has ended, and then True when its
    last events were handled. The main process sends the client's str and bytes, `Opened` and
    `Left`.
    """

    scope: dict[str, Any]
    frames: Channel[Any]


class Opened(NamedTuple):
    """From now on the events of this WebSocket come on a channel with this name as well.

    The child sends it back when it has taken the channel.
    """

    events: str
    again: bool
    """Whether an earlier process has had some of them in hand."""


class Left(NamedTuple):
    """The client has left: nothing can be sent to it, and this is the last that it has sent.

    If it comes on the channel `frames` while events are under way, `later` is True, and it comes
    once more, behind these.
    """

    code: int
    reason: str
    later: bool = False

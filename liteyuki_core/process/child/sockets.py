"""A child's listening sockets: copies of the sockets that the main process keeps for it.

`process/listening.py` is the main process's side. The child's server owns the copies and closes
them when it is to accept no more.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from ...comm.current import current
from ...comm.wire import words
from ...comm.wire.endpoint import Endpoint
from ...errors import NotConnected

_ANSWER_SECONDS = 30.0
"""A child waits so long for its sockets: longer than a main process is usually blocked."""

_ANSWER_BYTES = 4096
_MOST = 64
"""One host name may have so many addresses."""

_way: socket.socket | None = None
"""The socket over which this child gets its sockets. The child's entry sets it."""


def use_way(endpoint: Endpoint | None) -> None:
    """Let `listen` get sockets over this way, or none if it is None. The caller closes the way."""
    global _way
    _way = None if endpoint is None else endpoint.connection


def listen(host: str, port: int, backlog: int) -> list[socket.socket] | None:
    """Return copies of this child's listening sockets; None if it has to bind its own.

    Waits for the main process. Only one thread at a time may call it. Raises `OSError` as binding
    would, `NotConnected` if the main process is gone or does not answer.
    """
    if sys.platform == "win32" or _way is None:
        return None
    current().port.word(words.Listen(host, port, backlog))
    _way.settimeout(_ANSWER_SECONDS)
    try:
        answer, files, _, _ = socket.recv_fds(_way, _ANSWER_BYTES, _MOST)
    except TimeoutError:
        raise NotConnected(
            f"the main process gave no listening socket within {_ANSWER_SECONDS:g} s"
        ) from None
    for file in files:
        os.set_inheritable(file, False)
    if not answer:
        raise NotConnected("the main process is gone")
    fields = json.loads(answer)
    if fields:
        raise OSError(fields["code"], fields["text"])
    # Event loops set TCP_NODELAY only on sockets that say they are TCP.
    return [socket.socket(proto=socket.IPPROTO_TCP, fileno=file) for file in files]

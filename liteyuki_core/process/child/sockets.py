"""A child's listening sockets: copies of those that the main process keeps for it.

`listening.py` is the main process's side. The child closes them when it is to accept no more.
"""

from __future__ import annotations

import json
import os
import socket
import sys

from ...comm.current import current
from ...comm.wire.endpoint import Endpoint
from ...errors import NotConnected

_ANSWER_SECONDS = 30.0
"""How long a child waits for its sockets: longer than a main process is usually blocked."""

_ANSWER_BYTES = 4096
_MOST = 64
"""Addresses that one host name may have."""

_way: socket.socket | None = None
"""In a child: where its sockets come from. The entry of a child process puts it here."""


def use_way(endpoint: Endpoint | None) -> None:
    """Have `listen` ask over this way, or not at all. The caller closes it."""
    global _way
    _way = None if endpoint is None else endpoint.connection


def listen(host: str, port: int, backlog: int) -> list[socket.socket] | None:
    """Return copies of this child's listening sockets; None where it has to bind its own.

    Waits for the main process; not from two threads at a time. Raises `OSError` as binding
    would, `NotConnected` if the main process is gone or does not answer.
    """
    if sys.platform == "win32" or _way is None:
        return None
    current().port.word(op="listen", host=host, port=port, backlog=backlog)
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
    # Event loops set TCP_NODELAY only on what says that it is TCP.
    return [socket.socket(proto=socket.IPPROTO_TCP, fileno=file) for file in files]

"""Where a project's control socket is: both the bot and its clients look here.

Where the system has Unix sockets, it is one in the project's folder `.liteyuki`, which the user
alone may enter. On Windows it is a port of the loopback interface, which all users reach: there a
file in that folder has the port and a token that clients must show.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from time import monotonic, sleep
from typing import Any, NamedTuple

from .. import files

FOLDER = ".liteyuki"
SOCKET = os.path.join(FOLDER, "control.sock")
PORT = os.path.join(FOLDER, "control.json")

_PAUSE = 0.02

_UNIX: Any = getattr(socket, "AF_UNIX", None)

by_port = sys.platform == "win32"
"""Whether the control socket is a port and not a Unix socket. Only tests change it."""


class Address(NamedTuple):
    """A port of the loopback interface, and the token that opens it."""

    port: int
    token: str


def new_token() -> str | None:
    """Return a token that nobody can guess; None where the system keeps other users out."""
    if not by_port:
        return None
    from secrets import token_urlsafe

    return token_urlsafe(32)


def make_folder() -> None:
    """Make the project's folder for this user alone, or close it to others. Raises `OSError`."""
    if sys.platform == "win32":
        if not os.path.isdir(FOLDER):
            os.mkdir(FOLDER, 0o700)  # On Windows: for this user and administrators alone.
        return
    files.make_folders(os.path.abspath(FOLDER))
    found = os.lstat(FOLDER)
    if os.path.islink(FOLDER) or found.st_uid != os.geteuid():
        raise OSError(f"{os.path.abspath(FOLDER)} is a link or another user's")
    if found.st_mode & 0o077:
        os.chmod(FOLDER, 0o700)


def listen(token: str) -> socket.socket:
    """Return a socket that listens, and leave its address for clients. Raises `OSError`."""
    make_folder()
    if by_port:
        return _listen_on_port(token)
    listening = socket.socket(_UNIX)
    try:
        remove()  # One that a killed bot has left. This bot has the project's lock.
        # A short path: an absolute one may be longer than a socket's name can be.
        listening.bind(SOCKET)
        os.chmod(SOCKET, 0o600)
        listening.listen(64)
    except BaseException:
        listening.close()
        raise
    return listening


def _listen_on_port(token: str) -> socket.socket:
    listening = socket.create_server(("127.0.0.1", 0), backlog=64)
    try:
        remove()
        file = files.open_private(PORT, os.O_WRONLY)
        with open(file, "w", encoding="ascii") as writing:
            json.dump({"port": listening.getsockname()[1], "token": token}, writing)
    except BaseException:
        listening.close()
        raise
    return listening


def paths() -> list[str]:
    """Return the absolute paths of what `listen` leaves for clients."""
    return [os.path.abspath(SOCKET), os.path.abspath(PORT)]


def remove(found: list[str] | None = None) -> None:
    """Remove what `listen` has left, in this directory or at `found`."""
    for path in paths() if found is None else found:
        try:
            os.unlink(path)
        except OSError:
            pass


def _connect_patiently(connection: socket.socket, deadline: float) -> None:
    while True:
        try:
            connection.connect(SOCKET)
            return
        except BlockingIOError:  # So many others want to connect that not even one more may wait.
            if monotonic() > deadline:
                raise TimeoutError("it takes no connection") from None
            sleep(_PAUSE)


def connect(timeout: float) -> tuple[socket.socket, str | None]:
    """Connect to the bot of this directory; return the connection and the token to show.

    Raises `OSError` if there is none, `TimeoutError` if it takes no connection in time.
    """
    if not by_port:
        connection = socket.socket(_UNIX)
        connection.settimeout(timeout)
        try:
            _connect_patiently(connection, monotonic() + timeout)
        except BaseException:
            connection.close()
            raise
        return connection, None
    with open(PORT, encoding="ascii") as file:
        try:
            found = json.loads(file.read())
            address = Address(int(found["port"]), str(found["token"]))
        except (ValueError, TypeError, KeyError) as error:
            raise OSError(f"{PORT} has no address: {error}") from error
    return socket.create_connection(("127.0.0.1", address.port), timeout), address.token

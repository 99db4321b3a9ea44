"""Who listens on a port of this machine, as far as the system tells.

On Linux it is read from /proc, elsewhere psutil is asked, if it is there.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

_LISTENS = "0A"


class Listener(NamedTuple):
    """A process that listens."""

    pid: int
    name: str


def of(port: int) -> Listener | None:
    """Return who listens on a TCP port; None if nobody does, or if it can't be told."""
    return _from_proc(port) if sys.platform == "linux" else _from_psutil(port)


def _from_proc(port: int) -> Listener | None:
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table, encoding="ascii") as file:
                lines = [line.split() for line in file][1:]
        except OSError:
            continue
        sockets |= {
            f"socket:[{line[9]}]"
            for line in lines
            if line[3] == _LISTENS and int(line[1].rpartition(":")[2], 16) == port
        }
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            files = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue  # It has ended, or is another user's.
        if any(_link(f"/proc/{pid}/fd/{file}") in sockets for file in files):
            found.append(int(pid))
    return _named(min(found)) if found else None


def _link(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""  # It was closed meanwhile.


def _named(pid: int) -> Listener:
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return Listener(pid, file.read().strip())
    except OSError:
        return Listener(pid, "?")


def _from_psutil(port: int) -> Listener | None:
    try:
        import psutil
    except ImportError:
        return None
    try:
        for process in psutil.process_iter():
            try:
                for each in process.net_connections("tcp"):
                    if each.status == psutil.CONN_LISTEN and each.laddr.port == port:
                        return Listener(process.pid, process.name())
            except psutil.Error:
                continue  # It has ended, or is another user's.
    except psutil.Error:
        pass
    return None

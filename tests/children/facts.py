"""What a process says about itself in a file of its own, one line a fact: a SIGKILL leaves it.

A fact is `[time, kind, ...]`, its time monotonic, which all processes of a machine share.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, NamedTuple

FOLDER = "facts"
"""Below the working directory of the program and of its children."""


class Fact(NamedTuple):
    """One line. `life` tells the processes apart that had one name, in their order: 1, 2, ..."""

    time: float
    process: str
    life: int
    kind: str
    details: tuple[Any, ...]


_lock = Lock()


@cache
def _file(process: str, pid: int) -> int:
    os.makedirs(FOLDER, exist_ok=True)
    path = os.path.join(FOLDER, f"{process}.{monotonic():020.6f}.{pid}")
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def note(process: str, kind: str, *details: object) -> None:
    """Write down a fact about this process, which is called `process`. From any thread."""
    line = json.dumps([monotonic(), kind, *details]) + "\n"
    with _lock:  # Or threads that note something first would make a file each.
        file = _file(process, os.getpid())
    os.write(file, line.encode())


def lives(process: str, folder: str | os.PathLike[str] = ".") -> list[str]:
    """Return the files of a process, one a life, in order."""
    return sorted(path.name for path in (Path(folder) / FOLDER).glob(f"{process}.*"))


def read(
    folder: str | os.PathLike[str] = ".", process: str | None = None, pid: int | None = None
) -> list[Fact]:
    """Return the facts of all, of `process`, or of the one life of it that is `pid`, in order."""
    found = _read(Path(folder) / FOLDER, process or "*", pid)
    return sorted(found, key=lambda fact: fact.time)


def _read(folder: Path, process: str, pid: int | None) -> Iterator[Fact]:
    lives: dict[str, int] = {}
    for path in sorted(folder.glob(f"{process}.*")):
        name = path.name.split(".")[0]
        lives[name] = life = lives.get(name, 0) + 1
        if pid is not None and path.suffix != f".{pid}":
            continue
        text = path.read_text(encoding="utf-8")
        for line in text[: text.rfind("\n") + 1].splitlines():
            time, kind, *details = json.loads(line)
            yield Fact(time, name, life, kind, tuple(details))

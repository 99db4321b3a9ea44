"""What a program is: its command line, where it runs, how it shows that it is ready, how it stops.

`checked` looks at all that can be known before the program is started, on the thread of the
caller. Pure, but for a look at the folder.
"""

from __future__ import annotations

import codecs
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import NamedTuple

from ...errors import ProcessStartError
from ...redaction import redacted
from .ready import HttpOk, LogLine, Ready, TcpPort


@dataclass(frozen=True)
class Line:
    """Stop a program by a line on its standard input.

    `Line("quit")` writes the text and a newline. `Line(None)` closes the standard input. A program
    that is stopped in no such way has an empty standard input.
    """

    text: str | None

    def __post_init__(self) -> None:
        if self.text is not None and not isinstance(self.text, str):
            raise TypeError(f"Line: text must be a str or None, not {type(self.text).__name__}")


class Program(NamedTuple):
    """A program as `add_program` was told of it, all checked."""

    name: str
    argv: tuple[str, ...]
    cwd: str
    changes: dict[str, str | None]
    """What is changed in the environment. None: the variable is removed."""
    ready: Ready | None
    ready_timeout: float | None
    stop: signal.Signals | Line
    encoding: str
    terminal: bool

    @property
    def title(self) -> str:
        """The command line, for people. Secrets in it are not shown."""
        import shlex

        return redacted(shlex.join(self.argv))

    def environment(self) -> dict[str, str]:
        """Return the whole environment, made of that of this process."""
        found = dict(os.environ)
        for key, value in self.changes.items():
            key = key.upper() if sys.platform == "win32" else key
            if value is None:
                found.pop(key, None)
            else:
                found[key] = value
        return found


def checked(
    name: str,
    argv: Iterable[str | os.PathLike[str]],
    *,
    cwd: str | os.PathLike[str] | None,
    env: Mapping[str, str | None] | None,
    ready: Ready | None,
    ready_timeout: float | None,
    stop: str | Line,
    encoding: str,
    terminal: bool,
) -> Program:
    """Return a program if all of it can be.

    Raises `TypeError`, `ValueError`, or `ProcessStartError` if there is no such folder. Each names
    the argument.
    """
    about = f"process {name}: "
    words = _argv(about, argv)
    folder = os.path.abspath(os.fspath(cwd) if cwd is not None else os.curdir)
    if not os.path.isdir(folder):
        raise ProcessStartError(f"{about}cwd: there is no folder {folder!r}", name)
    changes = _changes(about, {} if env is None else env)
    if ready is not None and not isinstance(ready, LogLine | TcpPort | HttpOk):
        raise TypeError(
            f"{about}ready must be a LogLine, a TcpPort, an HttpOk or None, not {ready!r}"
        )
    if ready_timeout is not None and (
        isinstance(ready_timeout, bool) or not isinstance(ready_timeout, int | float)
    ):
        raise TypeError(f"{about}ready_timeout must be seconds or None, not {ready_timeout!r}")
    if ready_timeout is not None and not (isfinite(ready_timeout) and ready_timeout > 0):
        raise ValueError(f"{about}ready_timeout must be more than 0, not {ready_timeout!r}")
    way = _stop(about, stop)
    _check_encoding(about, encoding)
    if terminal and isinstance(ready, LogLine):
        raise ValueError(
            f"{about}ready=LogLine(...) can't be with terminal=True: what the program writes goes "
            "to the terminal, and LiteyukiBot does not see it"
        )
    if terminal and isinstance(way, Line):
        raise ValueError(
            f"{about}stop=Line(...) can't be with terminal=True: its standard input is the terminal"
        )
    return Program(
        name, words, folder, changes, ready, ready_timeout, way, encoding, bool(terminal)
    )


def _argv(about: str, argv: Iterable[str | os.PathLike[str]]) -> tuple[str, ...]:
    if not isinstance(argv, list | tuple):
        raise TypeError(
            f"{about}argv must be a list of strings, such as ['node', 'index.js'], not {argv!r}"
        )
    words = []
    for word in argv:
        if not isinstance(word, str | os.PathLike) or not isinstance(os.fspath(word), str):
            raise TypeError(f"{about}argv must be a list of strings; {word!r} is none")
        words.append(os.fspath(word))
    if not words or not words[0]:
        raise ValueError(f"{about}argv is empty: its first string must name the executable")
    if any("\0" in word for word in words):
        raise ValueError(f"{about}argv must not contain NUL characters")
    return tuple(words)


def _changes(about: str, env: Mapping[str, str | None]) -> dict[str, str | None]:
    if not isinstance(env, Mapping):
        raise TypeError(f"{about}env must be a mapping of strings, not {env!r}")
    for key, value in env.items():
        # Values are not shown: they may be secret.
        if not isinstance(key, str) or not (value is None or isinstance(value, str)):
            raise TypeError(
                f"{about}env must be a mapping of strings to strings, or to None to remove one; "
                f"{key!r} has a {type(value).__name__}"
            )
        if not key or "=" in key or "\0" in key or "\0" in (value or ""):
            raise ValueError(f"{about}env: {key!r} can't be a variable, or its value has a NUL")
    return dict(env)


def _stop(about: str, stop: str | Line) -> signal.Signals | Line:
    if isinstance(stop, Line):
        return stop
    if not isinstance(stop, str):
        raise TypeError(f"{about}stop must be a signal's name or a Line, not {stop!r}")
    try:
        return signal.Signals[stop]
    except KeyError:
        raise ValueError(
            f"{about}stop: this system has no signal {stop!r}; take one such as 'SIGTERM', or "
            'Line("quit")'
        ) from None


def _check_encoding(about: str, encoding: str) -> None:
    if not isinstance(encoding, str):
        raise TypeError(f"{about}encoding must be a str, not {encoding!r}")
    try:
        # Some names are known to Python and are no encodings of text, such as "hex".
        "a".encode(encoding)
        codecs.getincrementaldecoder(encoding)("backslashreplace").decode(b"\xff\xff\xff\xff")
    except (LookupError, ValueError, TypeError) as error:
        raise ValueError(
            f"{about}encoding {encoding!r} can't be used: {error}; take one such as 'utf-8' or "
            "'gbk'"
        ) from None

"""The terms of a child, whatever runs in it: when it is restarted, and on whom it depends.

Pure: nothing here waits. Users' arguments are checked on the thread that adds the child.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timedelta
from importlib.util import find_spec
from typing import NamedTuple

from ..errors import ProcessNotFound, ProcessStartError
from .restart import RestartPolicy

_UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}


class Terms(NamedTuple):
    """The terms of one child, all checked."""

    policy: RestartPolicy
    max_memory: int | None
    """Bytes."""
    restart_at: time | None
    """Local time, every day."""
    depends_on: tuple[str, ...]
    """The children that must be RUNNING before this one is started, and that outlast it."""


def checked(
    name: str,
    restart: RestartPolicy | None,
    max_memory: str | None,
    restart_at: str | None,
    depends_on: Iterable[str],
    known: Mapping[str, object],
) -> Terms:
    """Return the terms of a child if all of them can be. `known` has the children added so far.

    Raises `TypeError`, `ValueError`, `ProcessNotFound` or `ProcessStartError`. Each names the
    argument.
    """
    policy = RestartPolicy() if restart is None else restart
    if not isinstance(policy, RestartPolicy):
        raise TypeError(f"restart must be a RestartPolicy, not {type(policy).__name__}")
    about = f"process {name}: "
    return Terms(
        policy,
        None if max_memory is None else _bytes(name, max_memory),
        None if restart_at is None else _time(about, restart_at),
        _names(name, depends_on, known),
    )


def _bytes(name: str, text: str) -> int:
    about = f"process {name}: "
    if not isinstance(text, str):
        raise TypeError(f'{about}max_memory must be a str such as "512MB", not {text!r}')
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMG]B)\s*", text, re.IGNORECASE)
    size = int(float(found[1]) * _UNITS[found[2].upper()]) if found is not None else 0
    if not size:
        raise ValueError(
            f'{about}max_memory must be a number with KB, MB or GB, such as "512MB", not {text!r}'
        )
    if sys.platform != "linux" and find_spec("psutil") is None:
        raise ProcessStartError(
            f"{about}max_memory needs psutil on this system: install "
            "nonebot-plugin-liteyuki-comm[memory]",
            name,
        )
    return size


def _time(about: str, text: str) -> time:
    if not isinstance(text, str):
        raise TypeError(f'{about}restart_at must be a str such as "04:30", not {text!r}')
    found = re.fullmatch(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", text, re.ASCII)
    if found is None:
        raise ValueError(
            f'{about}restart_at must be a time of the day from "00:00" to "23:59", not {text!r}'
        )
    return time(int(found[1]), int(found[2]))


def _names(name: str, names: Iterable[str], known: Mapping[str, object]) -> tuple[str, ...]:
    # Only who was added before can be named. So there can be no circle.
    if isinstance(names, str | bytes):
        raise TypeError(f"process {name}: depends_on must be a list of names, not {names!r}")
    found = tuple(dict.fromkeys(names))
    for other in found:
        if other == name:
            raise ValueError(f"process {name}: depends_on must not name the process itself")
        if not isinstance(other, str):
            raise TypeError(f"process {name}: depends_on must be a list of names, not {names!r}")
        if other not in known:
            there = ", ".join(sorted(known)) or "none"
            raise ProcessNotFound(
                f"process {name}: depends_on names {other!r}, and no such process was added "
                f"before it (there are: {there}); add that one first",
                other,
            )
    return found


def waves(depends_on: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """Return names in the order in which they are to be stopped, those of one moment together.

    `depends_on` says for each name on whom it depends. Whoever depends on another one is in an
    earlier wave.
    """
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        """Return how many waves must come after that of `name`."""
        if name not in depths:
            depths[name] = 1 + max(map(depth, _within(name, depends_on)), default=-1)
        return depths[name]

    found: dict[int, list[str]] = {}
    for name in depends_on:
        found.setdefault(depth(name), []).append(name)
    return [found[number] for number in sorted(found, reverse=True)]


def _within(name: str, depends_on: Mapping[str, Iterable[str]]) -> list[str]:
    return [other for other in depends_on[name] if other in depends_on]


def next_time(at: time, now: datetime) -> datetime:
    """Return when it is `at` next, in local time. `now` is local time too."""
    today = datetime.combine(now.date(), at)
    return today if today > now else datetime.combine(now.date() + timedelta(days=1), at)

"""How much processor time and memory processes take, together with all that they have started.

A process that is asked for itself does not count for the one that has started it.

Memory is the resident memory of all these processes added up, as in the tools of the system. On
Linux all is read from /proc in one go. Elsewhere psutil is asked, and without it nothing is known.

Ownership. `Usage` keeps the last figures, for the percentages. It is for one thread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from time import monotonic
from typing import Any, NamedTuple

_SHORTEST = 0.5
"""Seconds: over a shorter time, the percentage would be chance."""


class Taken(NamedTuple):
    """What a process and all that it has started have taken: seconds, and bytes now."""

    seconds: float
    memory: int


class Usage:
    """Says what processes take, and how much of a processor each has had since the last time."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, float, float | None]] = {}

    def of(self, pids: Iterable[int]) -> dict[int, Taken]:
        """Return what is known of processes, by pid."""
        return _from_proc(set(pids)) if sys.platform == "linux" else _from_psutil(set(pids))

    def percent(self, pid: int, seconds: float, uptime: float) -> float | None:
        """Return the percentage of one processor since the last call, or since the start."""
        now = monotonic()
        then, before, percent = self._last.get(pid, (now - uptime, 0.0, None))
        if now - then >= _SHORTEST:
            percent = max(0.0, (seconds - before) / (now - then) * 100)
            self._last[pid] = now, seconds, percent
        return percent

    def forget(self, pids: set[int]) -> None:
        """Forget all processes but these."""
        self._last = {pid: last for pid, last in self._last.items() if pid in pids}


def _from_proc(pids: set[int]) -> dict[int, Taken]:
    if sys.platform == "win32":
        return {}
    tick, page = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
    found: dict[int, tuple[int, int, Taken]] = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # After the name in brackets, which may have anything in it.
                fields = file.read().rpartition(b")")[2].split()
            taken = Taken((int(fields[11]) + int(fields[12])) / tick, int(fields[21]) * page)
            found[int(name)] = int(fields[1]), int(fields[2]), taken
        except (OSError, IndexError, ValueError):
            continue  # It has ended meanwhile.
    roots = {pid: pid for pid in pids if pid in found}
    for pid, (_, group, _) in found.items():
        # A child leads its group, which those that lose their parent stay in.
        if group in pids and group in found:
            roots.setdefault(pid, group)
    totals = {pid: Taken(0.0, 0) for pid in roots if pid in pids}
    for pid in found:
        root = _root_of(pid, found, roots)
        if root is not None:
            seconds, memory = totals[root]
            taken = found[pid][2]
            totals[root] = Taken(seconds + taken.seconds, memory + taken.memory)
    return totals


def _root_of(
    pid: int, found: dict[int, tuple[int, int, Taken]], roots: dict[int, int]
) -> int | None:
    seen: list[int] = []
    while pid in found and pid not in roots and len(seen) < len(found):
        seen.append(pid)
        pid = found[pid][0]
    root = roots.get(pid)
    if root is not None:
        roots.update(dict.fromkeys(seen, root))
    return root


def _from_psutil(pids: set[int]) -> dict[int, Taken]:
    try:
        import psutil
    except ImportError:
        return {}
    trees: dict[int, dict[int, Taken]] = {}
    for pid in pids:
        trees[pid] = {}
        try:
            root: Any = psutil.Process(pid)
            family = [root, *root.children(recursive=True)]
        except psutil.Error:
            continue
        for process in family:
            try:
                times, memory = process.cpu_times(), process.memory_info().rss
                trees[pid][process.pid] = Taken(times.user + times.system, memory)
            except psutil.Error:
                continue  # It has ended meanwhile.
    totals = {}
    for pid, tree in trees.items():
        below = {each for other in pids & set(tree) - {pid} for each in trees[other]}
        own = [taken for each, taken in tree.items() if each not in below]
        if own:
            totals[pid] = Taken(sum(t.seconds for t in own), sum(t.memory for t in own))
    return totals

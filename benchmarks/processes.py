"""What /proc says about a process together with all that it has started. Linux only."""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100


def family(pid: int) -> list[int]:
    """Return a process and all that it has started, and they in turn."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(_fields(entry)[1])
        except OSError:
            pass  # It has just ended.
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def processor_seconds(pids: list[int]) -> float:
    """Return the processor time of these processes so far, their system calls included."""
    times = (_fields(Path(f"/proc/{pid}/stat"))[11:13] for pid in pids)
    return sum(int(user) + int(system) for user, system in times) / _TICKS


def memory(pids: list[int]) -> float:
    """Return the bytes that these processes use; what n of them share counts 1/n for each (PSS)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1]) * 1024
    return float(total)


def _fields(stat: Path) -> list[str]:
    # The name may contain anything; what follows it does not.
    return stat.read_text().rpartition(")")[2].split()

"""How much memory a process has, together with all that it has started.

It is the resident memory of all these processes added up. What they share counts for each of them,
as in the tools of the system. On Linux it is read from /proc, elsewhere psutil is asked.

It owns nothing. Any thread may call it. Processes come and go meanwhile: who is gone counts not.
"""

from __future__ import annotations

import os
import sys


def of_tree(root: int, pid: int) -> int:
    """Return the bytes of `pid` and of all that descends from `root`.

    `root` itself counts only if it is `pid`. On Linux the process group of `pid` counts too.
    """
    if sys.platform == "linux":
        return _pages(root, pid) * os.sysconf("SC_PAGE_SIZE")
    return _by_psutil(root, pid)


def _pages(root: int, pid: int) -> int:
    children: dict[int, list[int]] = {}
    sizes: dict[int, int] = {}
    ahead = [root, pid]
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                # After the name in brackets: state, parent, group; the 22nd is the resident pages.
                fields = file.read().rpartition(b")")[2].split()
            number, parent, group = int(name), int(fields[1]), int(fields[2])
            sizes[number] = int(fields[21])
        except (OSError, IndexError, ValueError):
            continue
        children.setdefault(parent, []).append(number)
        if group == pid:
            ahead.append(number)
    found: set[int] = set()
    while ahead:
        number = ahead.pop()
        if number not in found:
            found.add(number)
            ahead += children.get(number, [])
    if root != pid:
        found.discard(root)
    return sum(sizes.get(number, 0) for number in found)


def _by_psutil(root: int, pid: int) -> int:
    import psutil

    total = 0
    try:
        processes = psutil.Process(root).children(recursive=True)
        if root == pid:
            processes.append(psutil.Process(pid))
    except psutil.Error:
        return 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.Error:
            pass
    return int(total)

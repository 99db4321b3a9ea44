"""Tracing which lines of the message path a child executes, and a SIGKILL at a chosen one.

The plan's `kills` has a place for each life, `[file, line, n]`: the n-th execution of that line is
its last; an empty one only counts. A `sitecustomize` calls `trace_threads`, for the link's threads
are there before the target is.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections import Counter
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

from tests.children import facts

CHILD = "w"
"""The only child of such a run."""

COUNTS = "lines.json"
_PARTS = (os.path.join("liteyuki_core", "comm", ""), os.path.join("liteyuki_core", "process", ""))
_OF_THE_CHILD = ("spec.py", "entry.py", "leaving.py")


class Tracer:
    """Counts executed lines of this process, or kills it at one of them."""

    def __init__(self, place: list[Any]) -> None:
        self.counts: Counter[tuple[str, int]] = Counter()
        self._place = (place[0], place[1]) if place else None
        self._left = place[2] if place else 0

    def call(self, frame: FrameType, event: str, arg: object) -> Any:
        """Trace calls of functions in the files of interest, and nothing in others."""
        code = frame.f_code
        return self.line if _short(code.co_filename) and code.co_name != "<module>" else None

    def line(self, frame: FrameType, event: str, arg: object) -> Any:
        if event == "line":
            place = _short(frame.f_code.co_filename), frame.f_lineno
            if self._place is None:
                self.counts[place] += 1
            elif place == self._place:
                self._left -= 1
                if not self._left:
                    facts.note(CHILD, "exit", "os_exit")
                    facts.note(CHILD, "killed at", *place)
                    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return self.line

    def write(self) -> None:
        """Write down how often each line was executed until now."""
        counts = [[*place, count] for place, count in self.counts.copy().items()]
        Path(COUNTS).write_text(json.dumps(sorted(counts)), encoding="utf-8")


@cache
def _short(path: str) -> str:
    """Return a name for a file of interest, empty for others."""
    for part in _PARTS:
        if part in path and (part is _PARTS[0] or path.endswith(_OF_THE_CHILD)):
            return part.split(os.sep)[1] + "/" + os.path.basename(path)
    return ""


_tracer: Tracer | None = None


def trace_threads() -> None:
    """Trace the threads that start from now on, if this is a life that is to be traced."""
    global _tracer
    if "--multiprocessing-fork" not in sys.orig_argv:
        return
    kills = json.loads(Path("plan.json").read_text(encoding="utf-8"))["kills"]
    life = len(facts.lives(CHILD))  # Of those before this one.
    if life < len(kills):
        _tracer = Tracer(kills[life])
        threading.settrace(_tracer.call)


def trace_this_thread() -> Tracer | None:
    """Trace this thread too; return the tracer, if there is one."""
    if _tracer is not None:
        sys.settrace(_tracer.call)
    return _tracer

"""LiteyukiBot 6.3.16, what this replaces: its own LiteyukiBot, process manager and channels.

It needs other packages than this project, so that it runs in a virtual environment of its own:
this file is imported by the benchmark, and run by that environment's interpreter.

Its `on_receive` callbacks are never called and can't be registered in a child, main's process
manager takes what arrives on `NAME-active`, and who sends on a channel may receive it again. What
is left to measure is `send` on `NAME-passive` in the main process and `receive` in the child.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import perf_counter
from typing import Any

from workloads import (
    PATIENCE,
    WORKLOADS,
    NotMeasurable,
    Report,
    Workload,
    check,
    end_with_parent,
    last,
    messages,
)

NAME = "LiteyukiBot 6"
_PACKAGE = "liteyukibot==6.3.16"

_python: Path | None = None
_why_not = "not installed (--v6 FOLDER)"


def prepare(folder: Path) -> None:
    """Make a virtual environment with it in `folder`, or use the one made there before.

    Waits for the package index. Where that fails, its rows will say so.
    """
    global _python, _why_not
    python = folder.resolve() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", _PACKAGE], check=True)
    except (OSError, subprocess.CalledProcessError):
        _why_not = "not installed (see above)"
    else:
        _python = python


def version() -> str:
    """Return the version that is measured."""
    return _why_not if _python is None else _PACKAGE.rpartition("=")[2]


def one_way(workload: Workload, seconds: float) -> float:
    """Return how many messages a second reach the child's `receive`."""
    if _python is None:
        raise NotMeasurable(_why_not)
    command = [str(_python), __file__, workload.name, str(seconds)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=3 * PATIENCE
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    return float(json.loads(done.stdout.splitlines()[-1])["figure"])


def _main(name: str, seconds: float) -> None:
    from liteyuki import Channel, LiteyukiBot
    from liteyuki.comm import get_channel

    # Its `receive` has no timeout, and its children don't notice that nobody sends any more.
    watchdog = threading.Timer(2 * PATIENCE, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
    answers = Channel("answers")
    bot = LiteyukiBot(log_level="ERROR")
    bot.process_manager.add_target("peer", _serve, args=(answers, name))
    figures = []

    @bot.on_after_start
    def measure() -> None:
        workload = WORKLOADS[name]
        pool = workload.make_pool()
        passive = get_channel("peer-passive")
        count = workload.count(seconds, _send(passive, answers, pool, workload.warm_up))
        figures.append(count / _send(passive, answers, pool, count))

    bot.run()
    bot.stop()
    print(json.dumps({"figure": figures[0]}))


def _send(passive: Any, answers: Any, pool: list[Any], count: int) -> float:
    passive.send(count)
    answers.receive()
    begun = perf_counter()
    for message in messages(pool, count):
        passive.send(message)
    report = answers.receive()
    took = perf_counter() - begun
    check(pool, count, report)
    return took


def _serve(answers: Any, name: str) -> None:
    from liteyuki.comm import channel

    end_with_parent()
    # Not `liteyuki.comm.passive_channel`: that one is made anew by each process and leads nowhere.
    passive = channel.passive_channel
    pool = WORKLOADS[name].make_pool()
    while True:
        expected = passive.receive()
        received = size = 0
        answers.send("ready")
        while received < expected:
            data = passive.receive()
            received += 1
            size += len(data)
        answers.send(Report(received, size, data == last(pool, expected)))


if __name__ == "__main__":
    _main(sys.argv[1], float(sys.argv[2]))

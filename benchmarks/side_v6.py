"""LiteyukiBot 6.3.16, what this replaces: its own LiteyukiBot, process manager, channels, store.

It needs other packages than this project, so that it runs in a virtual environment of its own:
this file is imported by the benchmark, and run by that environment's interpreter.

Its `on_receive` callbacks are never called and can't be registered in a child, main's process
manager takes what arrives on `NAME-active`, and who sends on a channel may receive it again. What
is left to measure is `send` on `NAME-passive` in the main process and `receive` in the child.
Its store's requests from children go to such callbacks; it has no `incr`.
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

from store_work import STORE_WORK, Lane, StoreWork, drive, serve
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
_PROBE = "probe"
_PROBE_SECONDS = 5.0

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
    return _measure("channel", workload.name, seconds)


def store(work: StoreWork, seconds: float) -> float:
    """Return how many `get` or `set` a second a child does, if its first one has an effect."""
    return _measure("store", work.name, seconds)


def _measure(what: str, name: str, seconds: float) -> float:
    if _python is None:
        raise NotMeasurable(_why_not)
    command = [str(_python), __file__, what, name, str(seconds)]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=3 * PATIENCE
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    if "why not" in found:
        raise NotMeasurable(found["why not"])
    return float(found["figure"])


def _main(what: str, name: str, seconds: float) -> None:
    from liteyuki import Channel, LiteyukiBot

    # Its `receive` has no timeout, and its children don't notice that nobody sends any more.
    watchdog = threading.Timer(2 * PATIENCE, os._exit, (1,))
    watchdog.daemon = True
    watchdog.start()
    serve, drive = {
        "channel": (_serve, _drive),
        "store": (_serve_store, _drive_store),
    }[what]
    answers = Channel("answers")
    bot = LiteyukiBot(log_level="ERROR")
    bot.process_manager.add_target("peer", serve, args=(answers, name))
    found: dict[str, Any] = {}

    @bot.on_after_start
    def measure() -> None:
        try:
            found["figure"] = drive(answers, name, seconds)
        except NotMeasurable as error:
            found["why not"] = str(error)

    bot.run()
    bot.stop()
    print(json.dumps(found))


def _drive(answers: Any, name: str, seconds: float) -> float:
    from liteyuki.comm import get_channel

    workload = WORKLOADS[name]
    pool = workload.make_pool()
    passive = get_channel("peer-passive")
    count = workload.count(seconds, _send(passive, answers, pool, workload.warm_up))
    return count / _send(passive, answers, pool, count)


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


def _drive_store(answers: Any, name: str, seconds: float) -> float:
    from liteyuki.comm import get_channel
    from liteyuki.comm.storage import shared_memory

    answers.receive()  # The child has called `set`.
    returned = answers.conn_recv.poll(_PROBE_SECONDS)
    if name == "set" and not shared_memory.get(_PROBE):
        raise NotMeasurable(f"main has not got what a child set {_PROBE_SECONDS:g} s ago")
    if not returned:
        raise NotMeasurable(f"a child's get has not returned after {_PROBE_SECONDS:g} s")
    answers.receive()
    passive = get_channel("peer-passive")
    lanes = [Lane(passive.send, answers.receive)]
    return drive(shared_memory, lanes, STORE_WORK[name], seconds)


def _serve_store(answers: Any, name: str) -> None:
    from liteyuki.comm import channel, storage

    end_with_parent()
    store = storage.shared_memory
    store.set(_PROBE, True)
    answers.send("set")
    store.get(_PROBE)
    answers.send("got")
    orders = iter(channel.passive_channel.receive, None)
    serve(store, orders, answers.send, STORE_WORK[name])


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2], float(sys.argv[3]))

"""Count how often the processes of an idle bot wake up: `python benchmarks/idle.py`.

README.md says what is measured. Exits with 1 when a bot could not be measured, with 2 where
there is no /proc/PID/task, which is everywhere but on Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep

from processes import family
from table import machine, print_facts, print_lines

BOT = Path(__file__).resolve().parent / "idle_bot.py"
MUST, GOAL = 5.0, 1.0
PATIENCE = 60.0
"""Seconds that starting, answering or stopping may take."""

Counts = dict[tuple[int, int], tuple[int, int]]
"""Switches so far by pid and thread: voluntary, when it began to wait, and others."""


@dataclass(frozen=True)
class Row:
    """One bot: what its children are; `peer` is the row of what would wake without us."""

    key: str
    what: str
    kinds: tuple[str, ...]
    peer: str | None = None
    goal: float = GOAL


ROWS = (
    Row("1", "main, 1 child in receive", ("receive",)),
    Row("2", "main, 1 child with callbacks", ("callbacks",)),
    Row("3", "main, 4 children, 2 of each", ("receive", "callbacks") * 2),
    Row("a", "NoneBot on ~none without us", ("alone", "~none")),
    Row("4", "main, NoneBot on ~none", ("~none",), "a"),
    Row("b", "NoneBot on ~fastapi without us", ("alone", "~fastapi")),
    Row("5", "main, NoneBot on ~fastapi", ("~fastapi",), "b", 4),
)


class Bot:
    """A running idle_bot.py. It owns the process; `close` ends it and with it its children."""

    def __init__(self, kinds: tuple[str, ...], folder: str) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LITEYUKI_")}
        environment.update(LITEYUKI_LOG_LEVEL="ERROR", LOG_LEVEL="ERROR", PYTHONUTF8="1")
        self.process = subprocess.Popen(
            [sys.executable, str(BOT), *kinds],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )

    def names(self) -> dict[int, tuple[str, dict[int, str]]]:
        """Ask it what its processes and threads are called, by their numbers."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.daemon = True  # A Ctrl+C may come before it is sure to be cancelled.
        try:
            watchdog.start()
            self.process.stdin.write("names\n")
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith("{"):
                    return {
                        pid: (name, {int(thread): called for thread, called in threads.items()})
                        for name, (pid, threads) in json.loads(line).items()
                    }
        finally:
            watchdog.cancel()
        raise RuntimeError(f"it has ended with {self.process.wait(PATIENCE)} or did not answer")

    def close(self) -> None:
        """Stop it, or kill it where that takes too long."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


@contextmanager
def running(kinds: tuple[str, ...]) -> Iterator[Bot]:
    """Run a bot in a folder of its own."""
    # A bot that is just starting may make a file there while it is removed; that error would take
    # the place of a Ctrl+C.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bot = Bot(kinds, folder)
        try:
            yield bot
        finally:
            bot.close()


def count(pid: int) -> Counts:
    """Return the switches so far of each thread of a process and of those below it."""
    counts: Counts = {}
    for one in family(pid):
        for task in Path(f"/proc/{one}/task").glob("*/status"):
            try:
                lines = task.read_text().splitlines()
            except OSError:
                continue  # It has just ended.
            fields = dict(line.split(":", 1) for line in lines)
            counts[one, int(task.parent.name)] = (
                int(fields["voluntary_ctxt_switches"]),
                int(fields["nonvoluntary_ctxt_switches"]),
            )
    return counts


def measure(
    row: Row, settle: float, seconds: float
) -> tuple[float, dict[str, tuple[float, float]]]:
    """Return how often a bot wakes a second, and how often each of its threads does."""
    with running(row.kinds) as bot:
        bot.names()  # It answers when everything has started.
        sleep(settle)
        before, begun = count(bot.process.pid), monotonic()
        sleep(seconds)
        after, took = count(bot.process.pid), monotonic() - begun
        names = bot.names()
    wakers: dict[str, tuple[float, float]] = {}
    for (pid, thread), ended in after.items():
        process, threads = names.get(pid, ("helper of multiprocessing", {}))
        started = before.get((pid, thread), (0, 0))
        waited, pushed = ((now - then) / took for now, then in zip(ended, started, strict=True))
        if waited or pushed:
            wakers[f"{process}, {threads.get(thread, 'a thread without a name')}"] = waited, pushed
    return sum(map(sum, wakers.values())), wakers


def print_rows(found: dict[str, list[float]]) -> None:
    """Print the table."""
    lines = [["what", "wake-ups a second", "without us", "must", "goal", "reached"]]
    for row in ROWS:
        figures = found.get(row.key)
        if figures is None:
            continue
        middle = median(figures)
        text = f"{middle:.1f} ({min(figures):.1f}-{max(figures):.1f})"
        peers = found.get(row.peer or "")
        peer = "" if not peers else f"{median(peers):.1f}"
        reached = "goal" if middle <= row.goal else "must" if middle <= MUST else "below must"
        bounds = [f"<= {MUST:g}", f"<= {row.goal:g}", reached]
        if row.kinds[0] == "alone":
            bounds = ["", "", "for information"]
        lines.append([f"{row.key}. {row.what}", text, peer, *bounds])
    print_lines(lines)


def options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="how often an idle bot wakes up")
    parser.add_argument("--quick", action="store_true", help="a short one: does it work?")
    parser.add_argument("--rows", default="", metavar="KEYS", help="e.g. 14a; default all")
    parser.add_argument("--repetitions", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument("--seconds", type=float, metavar="S", help="to count for; default 20")
    parser.add_argument("--settle", type=float, metavar="S", help="to wait before; default 5")
    found = parser.parse_args()
    if found.repetitions < 1:
        parser.error("--repetitions must be at least 1")
    if unknown := set(found.rows) - {row.key for row in ROWS}:
        parser.error(f"--rows: there is no row {', '.join(sorted(unknown))}")
    if not Path("/proc/self/task").is_dir():
        parser.error("it counts what /proc/PID/task/*/status says, which only Linux has")
    return found


def main() -> int:
    """Measure and print."""
    asked = options()
    seconds = asked.seconds or (0.5 if asked.quick else 20.0)
    settle = asked.settle or (0.5 if asked.quick else 5.0)
    print_facts(machine(False))
    found: dict[str, list[float]] = {}
    wakers: dict[str, dict[str, tuple[float, float]]] = {}
    failed = {}
    for row in ROWS:
        if asked.rows and row.key not in asked.rows:
            continue
        try:
            for _ in range(asked.repetitions):
                figure, wakers[row.key] = measure(row, settle, seconds)
                found.setdefault(row.key, []).append(figure)
        except (RuntimeError, OSError) as error:
            failed[row.key] = error
    print_rows(found)
    for key, threads in wakers.items():
        print(f"\nRow {key}, who wakes:" if threads else f"\nRow {key}: nobody wakes.")
        for name, (waited, pushed) in sorted(threads.items(), key=lambda item: -sum(item[1])):
            print(f"- {name}: {waited:.2f} a second, {pushed:.2f} more when others had its core")
    for key, error in failed.items():
        print(f"\nRow {key}: {error}")
    return int(bool(failed))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

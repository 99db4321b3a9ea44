"""Measure NoneBot as a child of a LiteyukiBot beside NoneBot as it is, in one run.

`python benchmarks/hosting.py` prints the table; `--help` tells the options, README.md what each row
is. Exits with 1 when a message got lost, an answer was wrong or something could not be measured,
with 2 where there is no /proc/PID/smaps_rollup, which is everywhere but on Linux.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, perf_counter, sleep

from comparison import option_parser, read_options, write_figures
from hosting_client import Client, connected
from processes import family, memory, processor_seconds
from table import Result, Row, machine, print_facts, print_table

PROGRAM = Path(__file__).resolve().parent / "hosting_bot.py"
PATIENCE = 60.0
"""Seconds that starting or stopping may take."""

IN_FLIGHT = (1, 50)

Figures = dict[str, float]
"""What one life of a bot gave, by what it is: seconds, messages a second, bytes."""

PLAIN, HOSTED, MAIN = "plain", "hosted", "handler-in-main"
NONEBOT, CHILD = "restarts nonebot", "restarts plain"

ROWS: dict[Row, tuple[str, str, str | None]] = {
    Row("1", "processor time a message, 50 in flight", "µs", 1.05, 1.02): ("cpu 50", HOSTED, PLAIN),
    Row("2", "processor time a message, 1 in flight", "µs", 1.05, 1.02): ("cpu 1", HOSTED, PLAIN),
    Row("3", "start to port accepts", "ms", 1.4, 1.3): ("start", HOSTED, PLAIN),
    Row("4", "restart of a NoneBot child", "ms", 500, 250, True): ("restart", NONEBOT, None),
    Row("5", "restart of a plain child", "ms", 90, 30, True): ("restart", CHILD, None),
    Row("a", "messages, 50 in flight", "msg/s"): ("rate 50", HOSTED, PLAIN),
    Row("b", "message to answer, 50 in flight, p50", "µs"): ("p50 50", HOSTED, PLAIN),
    Row("c", "message to answer, 50 in flight, p99", "µs"): ("p99 50", HOSTED, PLAIN),
    Row("d", "messages, 1 in flight", "msg/s"): ("rate 1", HOSTED, PLAIN),
    Row("e", "message to answer, 1 in flight, p50", "µs"): ("p50 1", HOSTED, PLAIN),
    Row("f", "message to answer, 1 in flight, p99", "µs"): ("p99 1", HOSTED, PLAIN),
    Row("g", "memory, all processes", "MB"): ("memory", HOSTED, PLAIN),
    Row("h", "SIGTERM to exit", "ms"): ("stop", HOSTED, PLAIN),
    Row("A", "in main: messages, 50 in flight", "msg/s"): ("rate 50", MAIN, PLAIN),
    Row("B", "in main: message to answer, 50 in flight, p50", "µs"): ("p50 50", MAIN, PLAIN),
    Row("C", "in main: message to answer, 50 in flight, p99", "µs"): ("p99 50", MAIN, PLAIN),
    Row("D", "in main: messages, 1 in flight", "msg/s"): ("rate 1", MAIN, PLAIN),
    Row("E", "in main: message to answer, 1 in flight, p50", "µs"): ("p50 1", MAIN, PLAIN),
    Row("F", "in main: message to answer, 1 in flight, p99", "µs"): ("p99 1", MAIN, PLAIN),
    Row("G", "in main: memory, all processes", "MB"): ("memory", MAIN, PLAIN),
    Row("H", "in main: processor time a message, 50 in flight", "µs"): ("cpu 50", MAIN, PLAIN),
    Row("I", "in main: processor time a message, 1 in flight", "µs"): ("cpu 1", MAIN, PLAIN),
}
"""What each row measures: a figure, of which life, beside the same of which other one."""


class Bot:
    """A running hosting_bot.py. It owns the process and the one that reads its log.

    Default settings, in a folder of its own. What it writes goes through a pipe to `cat`, which
    writes it to a file: whoever measures does not read it meanwhile.
    """

    def __init__(self, arguments: list[str], folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self._log = folder / "log"
        reading, writing = os.pipe()
        with open(reading, "rb") as lines, self._log.open("wb") as log:
            self._reader = subprocess.Popen(
                ["cat"], stdin=lines, stdout=log, start_new_session=True
            )
        self.begun = perf_counter()
        with open(writing, "wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAM), *arguments, str(self.port)],
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_for_port(self) -> float:
        """Return how many seconds after its start the port accepts connections."""
        while self.process.poll() is None and perf_counter() - self.begun < PATIENCE:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return perf_counter() - self.begun
            except OSError:
                sleep(0.002)
        raise AssertionError("it does not listen")

    def stop(self) -> float:
        """Send SIGTERM; return how many seconds later it has ended."""
        begun = perf_counter()
        self.process.send_signal(signal.SIGTERM)
        self.wait()
        return perf_counter() - begun

    def wait(self) -> None:
        """Wait until it has ended, as asked."""
        # `Popen.wait` with a timeout looks only now and then.
        watchdog = threading.Timer(PATIENCE, self.process.kill)
        watchdog.daemon = True  # A Ctrl+C may come before it is sure to be cancelled.
        try:
            watchdog.start()
            code = self.process.wait()
        finally:
            watchdog.cancel()
        if code not in (0, -signal.SIGTERM, 128 + signal.SIGTERM):
            raise AssertionError(f"it has ended with {code}")

    def log(self) -> str:
        """Return all that it wrote. It has ended."""
        self._reader.wait(PATIENCE)
        return self._log.read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Stop it where it still runs, or kill it where that takes too long."""
        self.process.terminate()
        for process in (self.process, self._reader):
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> dict[str, str]:
    """Return ours without what would change the settings of LiteyukiBot or NoneBot."""
    theirs = ("LITEYUKI_", "ONEBOT_", "NONEBOT_", "FASTAPI_")
    names = ("ENVIRONMENT", "DRIVER", "HOST", "PORT", "LOG_LEVEL", "LOGURU_LEVEL")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(theirs) and key not in names
    }
    return {**kept, "PYTHONUTF8": "1"}


@contextmanager
def running(*arguments: str) -> Iterator[Bot]:
    """Run a bot in a folder of its own; an error names what it wrote last."""
    # A bot that is just starting may make a file there while it is removed; that error would take
    # the place of a Ctrl+C.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bot = None
        try:
            with _interrupt_put_off():
                bot = Bot(list(arguments), Path(folder))
            yield bot
        except Exception as error:
            if bot is None:
                raise
            bot.close()
            raise AssertionError(f"{error}\n{bot.log()[-2000:]}") from error
        finally:
            if bot is not None:
                bot.close()


@contextmanager
def _interrupt_put_off() -> Iterator[None]:
    """Have a Ctrl+C take effect at the end of the block: nothing is left that nobody knows of."""
    noted: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: noted.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if noted:
        raise KeyboardInterrupt


def live(kind: str, seconds: float) -> Figures:
    """Start a bot, exchange messages with it and stop it."""
    with running(kind) as bot:
        figures = {"start": bot.wait_for_port()}
        told = asyncio.run(_talk(bot, seconds, figures))
        logged = bot.log().count("[message.group.normal]")
        if logged != told:
            raise AssertionError(f"its log has {logged} of {told} messages")
    return figures


async def _talk(bot: Bot, seconds: float, figures: Figures) -> int:
    """Measure until the bot has ended; return how many messages there were."""
    async with connected(bot.port) as client:
        processes = family(bot.process.pid)
        await client.exchange(max(IN_FLIGHT), seconds / 5)
        for in_flight in IN_FLIGHT:
            found = await _exchange(client, processes, in_flight, seconds)
            figures.update({f"{name} {in_flight}": figure for name, figure in found.items()})
        figures["memory"] = memory(processes)
        stopping = asyncio.create_task(asyncio.to_thread(bot.stop))
        try:
            await client.expect_no_more()
        finally:
            figures["stop"] = await stopping
        return client.told


async def _exchange(
    client: Client, processes: list[int], in_flight: int, seconds: float
) -> Figures:
    before = processor_seconds(processes)
    exchange = await client.exchange(in_flight, seconds)
    processor = processor_seconds(processes) - before
    return {
        "rate": len(exchange.times) / exchange.seconds,
        "p50": median(exchange.times),
        "p99": sorted(exchange.times)[len(exchange.times) * 99 // 100],
        "cpu": processor / len(exchange.times),
    }


def restart(child: str, count: int) -> Figures:
    """Start a bot whose child restarts so many times, and wait for its end."""
    with running("restarts", child, str(count)) as bot:
        bot.wait()
        lines = [line for line in bot.log().splitlines() if line.startswith('{"restarts"')]
        if len(lines) != 1:
            raise AssertionError("it does not say how long the restarts took")
    return {"restart": median(json.loads(lines[0])["restarts"])}


def measure(
    lives: dict[str, Callable[[], Figures]], repetitions: int
) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """Have each bot live so often, in turns; return what each gave, and why one has failed."""
    found: dict[str, list[Figures]] = {name: [] for name in lives}
    failures: dict[str, str] = {}
    for _ in range(repetitions):
        for name, life in lives.items():
            if name in failures:
                continue
            try:
                found[name].append(life())
            except Exception as error:
                failures[name] = f"{type(error).__name__}: {error}"
    return found, failures


def versions() -> dict[str, str]:
    """Return what is measured, and with what."""
    names = {
        "LiteyukiBot": "nonebot-plugin-liteyuki-comm",
        "NoneBot": "nonebot2",
        "OneBot adapter": "nonebot-adapter-onebot",
        "uvicorn": "uvicorn",
        "websockets (the client)": "websockets",
    }
    return {name: metadata.version(distribution) for name, distribution in names.items()}


def main() -> int:
    """Measure and print what the command line asks for."""
    parser = option_parser("NoneBot hosted, beside NoneBot", "".join(row.key for row in ROWS))
    asked = read_options(parser)
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("it reads /proc/PID/smaps_rollup, which only Linux has")
    seconds, count = (0.2, 1) if asked.quick else (2.0, 3)
    lives: dict[str, Callable[[], Figures]] = {
        **{kind: partial(live, kind, seconds) for kind in (PLAIN, HOSTED, MAIN)},
        NONEBOT: partial(restart, "nonebot", count),
        CHILD: partial(restart, "plain", count),
    }
    chosen = {row: what for row, what in ROWS.items() if row.key in asked.rows}
    needed = {name for _, *names in chosen.values() for name in names}
    facts = {**machine(False), "event loop": "NoneBot's, of uvicorn's choice", **versions()}
    print_facts(facts)
    begun = monotonic()
    found, failures = measure(
        {name: life for name, life in lives.items() if name in needed}, asked.repetitions
    )

    def result(name: str | None, figure: str) -> Result:
        if name is None:
            return Result([])
        failure = failures.get(name, "")
        return Result([figures[figure] for figures in found[name]], failure, bool(failure))

    results = [
        (row, result(ours, figure), peer or "", result(peer, figure))
        for row, (figure, ours, peer) in chosen.items()
    ]
    print_table(results)
    print(f"\nMedian (least-most) of {asked.repetitions}; {monotonic() - begun:.0f} s in all.")
    if asked.json is not None:
        write_figures(asked.json, facts, results)
    return int(bool(failures))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

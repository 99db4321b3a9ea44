"""Measure NoneBot behind the main process's gateway beside NoneBot as it is, in one run.

`python benchmarks/gateway.py` prints the table; `--help` tells the options, README.md what each row
is. Exits with 1 when a message got lost, an answer was wrong or something could not be measured,
with 2 where there is no /proc/PID/smaps_rollup, which is everywhere but on Linux.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter

from comparison import option_parser, read_options, write_figures
from hosting import Bot, Figures, live, measure, running, versions
from processes import family, processor_seconds
from table import Result, Row, machine, print_facts, print_table

PLAIN, GATEWAY, ONE, TWO = "plain-page", "gateway", "busy", "busy-twice"
CONNECTIONS = 50
REQUEST = b"GET /hello HTTP/1.1\r\nHost: here\r\n\r\n"
BODY = b"hello world"

FIGURES: dict[Row, str] = {
    Row("1", "group messages, 50 in flight", "msg/s", 0.8, 1.0): "rate 50",
    Row("2", "message to answer, 1 in flight, p50", "µs", 1.3, 1.1): "p50 1",
    Row("3", "HTTP requests, 50 connections", "ops/s", 0.5): "http",
    Row("a", "message to answer, 50 in flight, p50", "µs"): "p50 50",
    Row("b", "message to answer, 50 in flight, p99", "µs"): "p99 50",
    Row("c", "message to answer, 1 in flight, p99", "µs"): "p99 1",
    Row("d", "processor time a message, 50 in flight", "µs"): "cpu 50",
    Row("e", "processor time a message, 1 in flight", "µs"): "cpu 1",
    Row("f", "processor time an HTTP request", "µs"): "http cpu",
    Row("g", "memory, all processes", "MB"): "memory",
    Row("h", "start to port accepts", "ms"): "start",
}
BUSY = Row("4", "messages of 10 ms of processor time, 2 replicas", "msg/s", 1.6)
ROWS = {
    **{row: (figure, GATEWAY, PLAIN) for row, figure in FIGURES.items()},
    BUSY: ("rate 50", TWO, ONE),
}
"""What each row measures: a figure, of which life, beside the same of which other one."""
_PEERS = {PLAIN: "plain", ONE: "1 process"}


def life(kind: str, seconds: float) -> Figures:
    """Start a bot, exchange messages with it and stop it; then the same with HTTP."""
    figures = live(kind, seconds)
    with running(kind) as bot:
        bot.wait_for_port()
        figures.update(asyncio.run(_request(bot, seconds)))
        bot.stop()
    return figures


async def _request(bot: Bot, seconds: float) -> Figures:
    processes = family(bot.process.pid)
    await _requests(bot.port, seconds / 5)
    processes = family(bot.process.pid)
    before, begun = processor_seconds(processes), perf_counter()
    count = await _requests(bot.port, seconds)
    took = perf_counter() - begun
    return {"http": count / took, "http cpu": (processor_seconds(processes) - before) / count}


async def _requests(port: int, seconds: float) -> int:
    """Make one request after the other on each connection for so long; return how many."""
    until = perf_counter() + seconds
    return sum(await asyncio.gather(*[_connection(port, until) for _ in range(CONNECTIONS)]))


async def _connection(port: int, until: float) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = 0
    try:
        while not count or perf_counter() < until:
            writer.write(REQUEST)
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(len(BODY))
            if not head.startswith(b"HTTP/1.1 200 ") or body != BODY:
                raise AssertionError(f"the page answers {head + body!r}")
            count += 1
    finally:
        writer.close()
    return count


def main() -> int:
    """Measure and print what the command line asks for."""
    parser = option_parser("NoneBot behind a gateway, beside NoneBot", _keys())
    asked = read_options(parser)
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("it reads /proc/PID/smaps_rollup, which only Linux has")
    seconds = 0.2 if asked.quick else 2.0
    chosen = {row: figure for row, figure in ROWS.items() if row.key in asked.rows}
    lives = {
        PLAIN: partial(life, PLAIN, seconds),
        GATEWAY: partial(life, GATEWAY, seconds),
        ONE: partial(live, ONE, seconds),
        TWO: partial(live, TWO, seconds),
    }
    needed = {name for _, *names in chosen.values() for name in names}
    facts = {**machine(False), "event loop": "of each server's choice", **versions()}
    print_facts(facts)
    begun = monotonic()
    found, failures = measure(
        {name: life for name, life in lives.items() if name in needed}, asked.repetitions
    )

    def result(name: str, figure: str) -> Result:
        failure = failures.get(name, "")
        return Result([figures[figure] for figures in found[name]], failure, bool(failure))

    results = [
        (row, result(ours, figure), _PEERS[peer], result(peer, figure))
        for row, (figure, ours, peer) in chosen.items()
    ]
    print_table(results)
    print(f"\nMedian (least-most) of {asked.repetitions}; {monotonic() - begun:.0f} s in all.")
    if asked.json is not None:
        write_figures(asked.json, facts, results)
    return int(bool(failures))


def _keys() -> str:
    return "".join(row.key for row in ROWS)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)

"""Bots that run programs; each is a program under test itself."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psutil

from liteyuki_core import LiteyukiBot
from liteyuki_core.errors import ProcessStartError, ProcessTimeout
from liteyuki_core.process import (
    HttpOk,
    Line,
    LogLine,
    ProcessState,
    RestartPolicy,
    TcpPort,
    planned,
)
from tests.children import acting
from tests.children.acting import NEVER, QUICK, kill, say, until

OVER = ProcessState.STOPPED, ProcessState.FAILED


def run(name: str, *arguments: object) -> list[str]:
    """Return how a program of `executables` is run."""
    return [sys.executable, "-m", "tests.children", f"executables:{name}", *map(str, arguments)]


class States(defaultdict[str, list[str]]):
    """The states that each child has entered, in order."""

    def __init__(self, bot: LiteyukiBot) -> None:
        super().__init__(list)
        self.all: list[tuple[str, str]] = []

        @bot.on_process_state
        async def note(name: str, state: ProcessState) -> None:
            self[name].append(state.value)
            self.all.append((name, state.value))


async def until_state(bot: LiteyukiBot, name: str, *states: ProcessState) -> None:
    child = bot.processes[name]
    await until(lambda: child.state in states, lambda: f"{states}: {child} {child.outcome}")


async def until_restarts(bot: LiteyukiBot, name: str, count: int) -> None:
    child = bot.processes[name]
    await until(lambda: child.restarts == count, lambda: f"{count} restarts: {child}")


# ------------------------------------------------------------- as any child


def lives() -> None:
    """States, hooks and restarts are those of any child."""
    bot = LiteyukiBot()
    states, called = States(bot), list[str]()
    for kind in (
        "on_before_process_shutdown",
        "on_before_process_restart",
        "on_after_restart",
    ):
        getattr(bot, kind)(lambda name, kind=kind: called.append(f"{kind} {name}"))
    bot.add_program("waits", run("waits", "a b", "--token=s3cret"), restart=QUICK)
    bot.add_program("crashes", run("exits", 7), ready=LogLine("ends"), restart=QUICK)
    bot.add_program("exits", run("exits", 0))
    bot.add_program("three", run("exits", 3), ready=LogLine("ends"), restart=NEVER)

    async def act() -> None:
        waits = bot.processes["waits"]
        assert waits.target.endswith("executables:waits 'a b' --token=***"), waits.target
        if not any("waits" in name for name in bot.channels):
            say("> no channels")
        await bot.wait_ready("waits", 20)
        pid = waits.pid
        assert pid is not None
        assert pid == waits.last_pid
        os.kill(pid, 0)
        kill(pid)
        after = "on_after_restart waits"
        await until(lambda: called.count(after) == 1, "again")
        assert waits.state is ProcessState.RUNNING
        assert waits.pid not in (None, pid)
        bot.restart_process("waits")
        bot.restart_process("waits")
        await until(lambda: called.count(after) == 2, "again")
        assert waits.state is ProcessState.RUNNING
        bot.stop_process("waits")
        await until_state(bot, "waits", ProcessState.STOPPED)
        assert waits.pid is None
        bot.start_process("waits")
        await bot.wait_ready("waits", 20)
        for name in ("crashes", "exits", "three"):
            await until_state(bot, name, *OVER)
            child = bot.processes[name]
            say(">", name, child.state.value, child.exitcode, child.restarts)
        say("> waits", " ".join(states["waits"]))
        say("> crashes", " ".join(states["crashes"]))
        say("> called", ", ".join(call for call in called if call.endswith(" waits")))
        bot.add_program("late", run("waits", "late"), ready=LogLine("late$"))
        await bot.wait_ready("late", 20)

    acting.main(bot, act)


def starts() -> None:
    """A program that can't be started has failed, and one line says why."""
    bot = LiteyukiBot()
    states = States(bot)
    bot.add_program("missing", ["no-such-program-here"])
    bot.add_program("other", run("waits"))

    async def act() -> None:
        await bot.wait_ready("other", 20)
        try:
            await bot.wait_ready("missing", 20)
        except ProcessStartError as error:
            say("> error", error)
        say("> missing", " ".join(states["missing"]))

    acting.main(bot, act)


# ------------------------------------------------------------- readiness


def readies() -> None:
    """Each way to be ready."""
    port = int(sys.argv[1])
    bot = LiteyukiBot()
    server = [sys.executable, "-u", "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    bot.add_program("line", run("says_later", 0.3, "login ok 1"), ready=LogLine(r"ok \d$"))
    bot.add_program("port", server, ready=TcpPort(port))
    bot.add_program("http", run("waits"), ready=HttpOk(f"http://127.0.0.1:{port}/"))
    bot.add_program("started", run("waits"))

    async def act() -> None:
        for name in bot.processes:
            await bot.wait_ready(name, 20)

    acting.main(bot, act)


def not_ready() -> None:
    """Who is not ready in time, or ends before it is, has failed before it was ready."""
    bot = LiteyukiBot()
    states = States(bot)
    again = RestartPolicy(mode="always", backoff=0.01, max_backoff=0.3)
    bot.add_program("slow", run("waits"), ready=LogLine("x"), ready_timeout=0.5, restart=again)
    bot.add_program("deaf", run("stubborn"), ready=LogLine("x"), ready_timeout=0.5, restart=again)
    bot.add_program("ends", run("exits", 7), ready=LogLine("x"), restart=again)
    flag = Path("flag")
    code = (
        f"import os, time; print('up', flush=True) if not os.path.exists({str(flag)!r}) else 0; "
        "time.sleep(1000)"
    )
    bot.add_program(
        "once", [sys.executable, "-c", code], ready=LogLine("up"), ready_timeout=2, restart=again
    )

    async def act() -> None:
        for name in ("slow", "deaf", "ends"):
            await until_state(bot, name, ProcessState.FAILED)
            child = bot.processes[name]
            say(">", name, child.exitcode, child.restarts, " ".join(states[name]))
        await bot.wait_ready("once", 20)
        flag.touch()
        bot.restart_process("once")
        await until_state(bot, "once", ProcessState.BACKOFF)
        flag.unlink()
        await until_state(bot, "once", ProcessState.RUNNING)
        say("> once", " ".join(states["once"]))
        bot.add_program("stops", run("waits"), ready=LogLine("never"))
        try:
            await bot.wait_ready("stops", 0.5)
        except ProcessTimeout:
            bot.stop_process("stops")
        await until_state(bot, "stops", ProcessState.STOPPED)

    acting.main(bot, act)


# ------------------------------------------------------------- stopping


def stops() -> None:
    """Each way to stop, and one that ends by none: the bot stops in its time."""
    if "frozen" in sys.argv:
        sys.frozen = True  # type: ignore[attr-defined]
    bot = LiteyukiBot()
    bot.add_program("int", run("obeys", "signal"), stop="SIGINT", ready=LogLine("obeys"))
    bot.add_program("term", run("obeys", "signal"), ready=LogLine("obeys, and reads ''"))
    bot.add_program("line", run("obeys"), stop=Line("quit"), ready=LogLine("obeys"))
    bot.add_program("close", run("obeys"), stop=Line(None), ready=LogLine("obeys"))
    bot.add_program("deaf", run("waits"), stop=Line("quit"))
    bot.add_program("stubborn", run("stubborn"), ready=LogLine("stubborn"))

    async def act() -> None:
        for name in bot.processes:
            await bot.wait_ready(name, 20)

    @bot.on_after_shutdown
    def over() -> None:
        say("> codes", *(f"{name} {child.exitcode}" for name, child in bot.processes.items()))

    acting.main(bot, act)


def asked_twice() -> None:
    """A program that is to stop is not asked again when the bot stops."""
    bot = LiteyukiBot()
    bot.add_program("counts", run("counts"), ready=LogLine("counts"))

    async def act() -> None:
        await bot.wait_ready("counts", 20)
        bot.stop_process("counts")
        await asyncio.sleep(0.3)

    acting.main(bot, act)
    say("> code", bot.processes["counts"].exitcode)


def family() -> None:
    """A family that does not end when asked; `act` says how it is ended."""
    how = sys.argv[1]
    if "frozen" in sys.argv:
        sys.frozen = True  # type: ignore[attr-defined]
    detached = [] if "frozen" in sys.argv else ["detached"]
    bot = LiteyukiBot()
    arguments = [*detached, *(["ends"] if how == "ends" else [])]
    bot.add_program("napcat", run("family", *arguments), restart=NEVER)

    async def act() -> None:
        child = bot.processes["napcat"]
        await until_state(bot, "napcat", ProcessState.RUNNING, *OVER)
        if how == "stop":
            await asyncio.sleep(1)
            bot.stop_process("napcat")
        elif how == "restart":
            await asyncio.sleep(1)
            bot.restart_process("napcat")
            await until(lambda: child.restarts == 1, "a restart")
            await bot.wait_ready("napcat", 20)
            await asyncio.sleep(1)
            return
        elif how == "wait":
            say("waiting", child.pid)
            await asyncio.sleep(1000)
        await until_state(bot, "napcat", *OVER)
        say("> ended", child.exitcode)

    acting.main(bot, act)


# ------------------------------------------------------------- output


def writes() -> None:
    """What programs write is in the log."""
    bot = LiteyukiBot()
    bot.add_program("draws", run("draws"))
    bot.add_program("speaks", run("speaks"), encoding="gbk")
    bot.add_program("cat", run("half_a_line"), ready=LogLine("half"))
    env: dict[str, Any] = {"MINE": "set", "THEIRS": None}
    os.environ["THEIRS"] = "unset"
    Path("folder").mkdir()
    bot.add_program("tells", run("tells", "MINE", "THEIRS"), cwd="folder", env=env)
    bot.add_program("looks", [sys.executable, "-c", "print('\\x1b[32mup\\x1b[0m now')"])

    async def act() -> None:
        await bot.wait_ready("cat", 20)
        while not Path("seen").exists():
            await asyncio.sleep(0.01)

    acting.main(bot, act)


def floods() -> None:
    """A program that writes so many MB holds nobody up and takes no memory."""
    bot = LiteyukiBot()
    flood = run("floods", int(sys.argv[1]))
    bot.add_program("floods", flood, ready=LogLine("^flooded$"), ready_timeout=None)
    worst = 0.0

    async def act() -> None:
        nonlocal worst
        me = psutil.Process()
        before = me.memory_info().rss
        waiting = asyncio.ensure_future(bot.wait_ready("floods", 300))
        most = before
        while not waiting.done():
            begun = time.monotonic()
            await asyncio.sleep(0.02)
            worst = max(worst, time.monotonic() - begun - 0.02)
            most = max(most, me.memory_info().rss)
        waiting.result()
        print("> grown by", (most - before) >> 20, file=sys.stderr)
        print(f"> late by {worst:.3f}", file=sys.stderr, flush=True)

    acting.main(bot, act)


# ------------------------------------------------------------- files


def reloads() -> None:
    """A file that is watched restarts the program, any other file does not."""
    for name in ("app/index.js", "app/data.json", "watched.txt", "other.py"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text("1")
    bot = LiteyukiBot()
    bot.add_program("node", run("waits"), watch=["app", "watched.txt"])
    bot.add_program("unwatched", run("waits"))

    async def act() -> None:
        child = bot.processes["node"]
        for number, name in enumerate(("app/index.js", "watched.txt", "app/new.mjs"), 1):
            await until_state(bot, "node", ProcessState.RUNNING)
            await asyncio.sleep(0.5)
            Path("app/data.json").write_text(str(number))
            Path("other.py").write_text(f"x = {number}")
            await asyncio.sleep(0.5)
            Path(name).write_text(f"{number}")
            await until_restarts(bot, "node", number)
        await until_state(bot, "node", ProcessState.RUNNING)
        await asyncio.sleep(1)
        say("> restarts", child.restarts, bot.processes["unwatched"].restarts)

    acting.main(bot, act)


# ------------------------------------------------------------- one depends on another


def depends() -> None:
    """Who depends on another one is started after it and stopped before it."""
    bot = LiteyukiBot()
    states = States(bot)
    bot.add_program("web", run("waits"))
    bot.add_program("napcat", run("says_when", "go", "ok"), ready=LogLine("ok"))
    bot.add_process("bot", "tests.children.targets:receives", depends_on=("napcat", "web"))
    bot.add_program("page", run("waits"), depends_on=["bot"])
    bot.add_process("free", "tests.children.targets:receives")

    async def act() -> None:
        say("> started", *(name for name, c in bot.processes.items() if c.started_at is not None))
        await bot.wait_ready("free", 30)
        Path("go").touch()
        await bot.wait_ready("page", 30)
        await until(lambda: ("page", "running") in states.all, "hooks are told")
        starts = [name for name, state in states.all if state == "running"]
        assert starts.index("napcat") < starts.index("bot") < starts.index("page"), starts
        assert starts.index("free") < starts.index("napcat"), starts
        kill(bot.processes["napcat"].pid)
        await until(lambda: bot.processes["napcat"].restarts == 1, "a restart")
        await bot.wait_ready("napcat", 20)
        say("> runs", *(f"{name} {c.restarts}" for name, c in bot.processes.items()))

    @bot.on_after_shutdown
    def over() -> None:
        ends = [name for name, state in states.all if state == "stopped"]
        say("> ends", *(name for name in ends if name in ("page", "bot", "napcat")))

    acting.main(bot, act)


def depends_in_vain() -> None:
    """Who depends on one that has failed can't start. Started again, both run."""
    flag = Path("flag")
    code = f"import os, time; os.path.exists({str(flag)!r}) or exit(3); print('up', flush=True); "
    bot = LiteyukiBot()
    bot.add_program(
        "napcat", [sys.executable, "-c", code + "time.sleep(1000)"], ready=LogLine("up")
    )
    bot.add_process("bot", "tests.children.targets:receives", depends_on=["napcat"])

    async def act() -> None:
        await until_state(bot, "bot", ProcessState.FAILED)
        say("> outcome", bot.processes["bot"].outcome)
        assert bot.processes["bot"].started_at is None
        flag.touch()
        bot.restart_process("napcat")
        bot.restart_process("bot")
        await bot.wait_ready("bot", 20)
        assert bot.processes["napcat"].state is ProcessState.RUNNING
        bot.stop_process("bot")
        bot.stop_process("napcat")
        await until_state(bot, "napcat", ProcessState.STOPPED)
        bot.start_process("napcat")
        bot.start_process("bot")
        bot.stop_process("bot")
        await until_state(bot, "bot", ProcessState.STOPPED)
        await bot.wait_ready("napcat", 20)

    acting.main(bot, act)


# ------------------------------------------------------------- planned restarts


def swells() -> None:
    """What a Python child does that takes much memory once."""
    if not Path("swollen").exists():
        Path("swollen").touch()
        kept = bytearray(b"x") * (200 << 20)
        time.sleep(1000)
        del kept


def eats() -> None:
    """A tree that takes too much memory is restarted, and nobody is blamed."""
    planned._LOOK_SECONDS = 0.5
    bot = LiteyukiBot()
    states = States(bot)
    once = "import os, sys; os.path.exists('eaten') and __import__('time').sleep(1000); "
    once += "open('eaten', 'w'); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    argv = [sys.executable, "-c", once, *run("eats", 200)[1:]]
    bot.add_program("eats", argv, max_memory="150MB", restart=NEVER)
    bot.add_process("swells", swells, max_memory="0.15GB", restart=NEVER)
    bot.add_program("small", run("eats", 20), max_memory="150MB", restart=NEVER)

    async def act() -> None:
        for name in ("eats", "swells"):
            await until_restarts(bot, name, 1)
        await bot.wait_ready("eats", 20)
        await asyncio.sleep(1.5)
        say("> restarts", *(f"{name} {c.restarts}" for name, c in bot.processes.items()))
        say("> eats", " ".join(states["eats"]))

    acting.main(bot, act)


def every_day() -> None:
    """Children are restarted at their time of the day, if they run."""
    now = datetime.now()
    ahead = datetime.combine(now.date(), datetime.min.time()) + timedelta(hours=4, minutes=29)
    shift = ahead + timedelta(seconds=58) - now

    def shifted() -> datetime:
        return datetime.now() + shift

    planned._now = shifted
    bot = LiteyukiBot()
    bot.add_program("napcat", run("waits"), restart_at="04:30", restart=NEVER)
    bot.add_process("bot", "tests.children.targets:receives", restart_at="04:30")
    bot.add_process("later", "tests.children.targets:receives", restart_at="05:00")
    bot.add_program("stopped", run("waits"), restart_at="04:30")

    async def act() -> None:
        bot.stop_process("stopped")
        for name in ("napcat", "bot"):
            await until_restarts(bot, name, 1)
            await bot.wait_ready(name, 20)
        await asyncio.sleep(1)
        say("> restarts", *(f"{name} {c.restarts}" for name, c in bot.processes.items()))
        assert bot.processes["stopped"].state is ProcessState.STOPPED

    acting.main(bot, act)


# ------------------------------------------------------------- the terminal


def terminal() -> None:
    """One program has the terminal."""
    if "frozen" in sys.argv:
        sys.frozen = True  # type: ignore[attr-defined]
    bot = LiteyukiBot()
    bot.add_program("asks", run("asks_the_terminal"), terminal=True, restart=NEVER)
    try:
        bot.add_program("too", run("waits"), terminal=True)
    except ProcessStartError as error:
        say("> error", error)

    async def act() -> None:
        if "interrupt" in sys.argv:
            await asyncio.sleep(1000)
        await until_state(bot, "asks", *OVER)
        say("> code", bot.processes["asks"].exitcode)

    acting.main(bot, act)


# ------------------------------------------------------------- idle


def idle() -> None:
    """A program that does nothing wakes nobody."""
    bot = LiteyukiBot()
    bot.add_program("waits", run("waits"), ready=LogLine("waits"))

    async def act() -> None:
        await bot.wait_ready("waits", 20)
        say("idle")
        await asyncio.sleep(1000)

    acting.main(bot, act)

"""Children that say what they have inherited, and from whom."""

from __future__ import annotations

import asyncio
import importlib
import json
import multiprocessing
import os
import random
import resource
import signal
import ssl
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from liteyuki_core import LiteyukiBot, get_bot, get_channel, shared_memory
from liteyuki_core.comm import active_channel
from liteyuki_core.process import ProcessState
from tests.children import acting
from tests.children.acting import AGAIN, QUICK, say, until

assert sys.platform == "linux", "fork servers"

SUBREAPER = 36


def inherited() -> dict[str, Any]:
    """Return all that this process has from main."""
    import loguru

    main = sys.modules["__main__"]
    status = Path("/proc/self/status").read_text().splitlines()
    kept = ("Umask", "Uid", "Gid", "Groups", "SigBlk", "SigIgn", "Cpus_allowed_list", "CapEff")
    parent = multiprocessing.parent_process()
    assert parent is not None
    return {
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "path": sys.path,
        "argv": sys.argv,
        "flags": list(sys.flags),
        "main": [main.__name__, getattr(main, "__file__", None), "__mp_main__" in sys.modules],
        "limits": Path("/proc/self/limits").read_text(),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "status": [line for line in status if line.startswith(kept)],
        "handlers": {n: repr(signal.getsignal(n)) for n in (2, 10, 13, 15, 17)},
        "stdin": [os.readlink("/proc/self/fd/0"), sys.stdin.read(1)],
        "streams": [[type(s).__name__, s.encoding, s.isatty()] for s in (sys.stdout, sys.stderr)],
        "log": [str(loguru.logger), _stream_of(loguru.logger) is sys.stderr],
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "multiprocessing": [
            multiprocessing.current_process().name,
            multiprocessing.get_start_method(),
            parent.pid == os.getppid(),
            parent.is_alive(),
            multiprocessing.active_children(),
        ],
        "group": os.getpgrp() == os.getpid(),
        "nonebot": [n for n in ("nonebot", "fastapi") if n in sys.modules],
    }


def _stream_of(logger: Any) -> Any:
    return logger._core.handlers[0]._sink._stream


def exits() -> None:
    """Exit with the code that main puts into the store, once."""
    key = f"exit {multiprocessing.current_process().name}"
    while (code := shared_memory.get(key)) is None:
        time.sleep(0.005)
    shared_memory.delete(key)
    os._exit(code)


def end(name: str, code: int) -> None:
    shared_memory[f"exit liteyuki-{name}"] = code


def tells() -> None:
    threading.Thread(target=exits, name="exits", daemon=True).start()
    for question in active_channel:
        if question == "inherited":
            active_channel.send(inherited())
        elif question == "chance":
            chance = random.random(), uuid.uuid4().hex, uuid.uuid1().hex, ssl.RAND_bytes(8)
            active_channel.send((*chance, os.urandom(8), random.getstate()))
        elif question == "code":
            errors: Any = importlib.import_module("liteyuki_core.errors")
            active_channel.send(getattr(errors, "MARK", None))
        elif question == "files":
            active_channel.send(
                [os.readlink(f"/proc/self/fd/{n}") for n in range(40) if _is_open(n)]
            )
        elif question == "family":
            subprocess.Popen(["sleep", "1000"])
            active_channel.send(None)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def servers() -> list[psutil.Process]:
    """Return the fork servers of this process."""
    return [
        process
        for process in psutil.Process().children()
        if process.pid not in {child.pid for child in get_bot().processes.values()}
        and "child.server" in " ".join(process.cmdline())
    ]


async def ask(name: str, question: object) -> Any:
    channel = get_channel(f"{name}-active")
    channel.send(question)
    return await channel.async_receive(20)


async def restart(bot: LiteyukiBot, name: str) -> None:
    before = bot.processes[name].restarts
    bot.restart_process(name)
    await until(lambda: bot.processes[name].restarts > before, "a restart")
    await bot.wait_ready(name, 20)


def one(act: Callable[[LiteyukiBot], Any], *names: str) -> None:
    """Run `act` with children that tell."""
    bot = LiteyukiBot()
    for name in names or ("w",):
        bot.add_process(name, tells, restart=QUICK)

    async def whole() -> None:
        for name in bot.processes:
            await bot.wait_ready(name, 20)
        await act(bot)

    acting.main(bot, whole)


# ------------------------------------------------------------- as if it was spawned


def same() -> None:
    """Says what children have, first as main begins, then after main has become another."""

    async def act(bot: LiteyukiBot) -> None:
        say("> servers", len(servers()))
        say(">", json.dumps(await ask("w", "inherited")))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        changes: list[Callable[[], Any]] = [
            lambda: os.environ.update(ADDED="1", TZ="Asia/Shanghai"),
            lambda: os.environ.pop("ADDED"),
            lambda: os.mkdir("other"),
            lambda: os.chdir("other"),
            lambda: sys.path.append("/nowhere"),
            lambda: os.umask(0o027),
            lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (300, most)),
            lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
            lambda: signal.signal(signal.SIGUSR1, signal.SIG_IGN),
            lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
        ]
        for change in changes:
            change()
            await restart(bot, "w")
            say(">", json.dumps(await ask("w", "inherited")))
        say("> servers", len(servers()))

    one(act)


# ------------------------------------------------------------- the server


def serves() -> None:
    """Nobody but the server notices what happens to it."""

    async def act(bot: LiteyukiBot) -> None:
        (server,) = servers()
        w = bot.processes["w"]
        files = [os.readlink(f"/proc/{server.pid}/fd/{n}") for n in range(3)]
        assert files == ["/dev/null"] * 3, files
        assert server.num_threads() == 1 and server.num_fds() == 4, server.num_fds()
        assert server.cwd() == "/" and os.getpgid(server.pid) == os.getpgrp()
        before = psutil.Process().num_fds()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            server.send_signal(number)
        await restart(bot, "w")
        assert servers() == [server]
        known = await ask("w", "files")
        held = os.readlink(f"/proc/{server.pid}/fd/{_control(server.pid)}")
        assert held not in known, (held, known)

        server.kill()
        await until(lambda: server.status() == psutil.STATUS_ZOMBIE, "its end")
        assert await ask("w", "chance")
        end("w", 7)
        await until(lambda: w.restarts == 2, "a restart")
        await bot.wait_ready("w", 20)
        (other,) = servers()
        assert other != server
        bot.stop_process("w")
        await until(lambda: w.state is ProcessState.STOPPED, "its end")
        assert w.exitcode == 0
        bot.start_process("w")
        await bot.wait_ready("w", 20)
        assert servers() == [other]
        await until(lambda: psutil.Process().num_fds() <= before, "descriptors")

    one(act)


def _control(pid: int) -> int:
    (number,) = (int(name) for name in os.listdir(f"/proc/{pid}/fd") if int(name) > 2)
    return number


def chance() -> None:
    async def act(bot: LiteyukiBot) -> None:
        assert len(servers()) == 1
        found = [await ask(name, "chance") for name in bot.processes]
        await restart(bot, "a")
        found.append(await ask("a", "chance"))
        for values in zip(*found, strict=True):
            assert len(set(values)) == 3, values

    one(act, "a", "b")


def code() -> None:
    """The first argument is a file of the package, which this may change."""

    async def act(bot: LiteyukiBot) -> None:
        assert await ask("w", "code") is None
        (server,) = servers()
        with open(sys.argv[1], "a", encoding="utf-8") as file:
            file.write("\nMARK = 'new'\n")
        await restart(bot, "w")
        assert await ask("w", "code") == "new"
        (other,) = servers()
        assert other != server

    one(act)


def gone() -> None:
    """Main says its servers, and waits. With an argument a copy of main, made by fork, lives on."""

    async def act(bot: LiteyukiBot) -> None:
        if sys.argv[1:]:
            pid = os.fork()
            if not pid:
                Path("copy").touch()
                time.sleep(1000)
            say("> copy", pid)
        say("> server", *(server.pid for server in servers()))
        await asyncio.Event().wait()

    one(act)


def kinds() -> None:
    """A NoneBot child has a server of its own, and plain ones nothing of it."""
    bot = LiteyukiBot()
    bot.add_process("n", "liteyuki_core.frameworks.nonebot:run", kwargs={"pyproject": None})
    bot.add_process("w", tells)

    async def act() -> None:
        await bot.wait_ready("w", 20)
        assert (await ask("w", "inherited"))["nonebot"] == []
        await bot.wait_ready("n", 60)
        assert len(servers()) == 2
        await restart(bot, "n")
        assert len(servers()) == 2

    acting.main(bot, act)


def stopped_while_it_loads() -> None:
    """A stop does not wait for a server, not even for one that hangs."""
    bot = LiteyukiBot()
    bot.add_process("w", tells)

    @bot.on_process_state
    async def look(name: str, state: ProcessState) -> None:
        if state is ProcessState.STARTING:
            await until(servers, "a server")
            servers()[0].suspend()
            say("> it hangs")
            bot.stop()

    bot.run()
    left = [process.cmdline() for process in psutil.Process().children()]
    assert all("tracker" in str(command) for command in left), left


def unusable() -> None:
    async def act(bot: LiteyukiBot) -> None:
        await restart(bot, "w")
        say("> servers", len(servers()))

    one(act)


# ------------------------------------------------------------- who is adopted


def adopts() -> None:
    """Main adopts orphans all the time here, as it else does while it forks."""
    from ctypes import CDLL, byref, c_int

    async def act(bot: LiteyukiBot) -> None:
        is_on = c_int()
        CDLL(None).prctl(SUBREAPER + 1, byref(is_on), 0, 0, 0)
        assert not is_on.value
        CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        await ask("w", "family")
        end("w", 7)
        await until(lambda: bot.processes["w"].restarts == 1, "a restart")
        await bot.wait_ready("w", 20)
        await restart(bot, "w")
        CDLL(None).prctl(SUBREAPER + 1, byref(is_on), 0, 0, 0)
        assert is_on.value, "what others have set stays"
        await until(
            lambda: all(p.status() != psutil.STATUS_ZOMBIE for p in psutil.Process().children()),
            "no zombies",
        )

    one(act)


def many() -> None:
    """Children are started, crash and are stopped at once, and the server is killed meanwhile."""
    bot = LiteyukiBot()
    names = [f"w{number}" for number in range(8)]
    for name in names:
        bot.add_process(name, tells, restart=AGAIN)

    async def act() -> None:
        for turn in range(3):
            for name in names:
                await bot.wait_ready(name, 20)
            pids = {bot.processes[name].pid for name in names}
            assert len(pids) == len(names)
            if turn == 1:
                for server in servers():
                    server.kill()
            for name in names:
                end(name, turn + 5)
            await until(
                lambda: all(bot.processes[name].restarts > turn for name in names), "restarts"
            )

    acting.main(bot, act)

"""Children whose ends somebody else hears of, or nobody."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from liteyuki_core import LiteyukiBot, get_channel, shared_memory
from liteyuki_core.process import ProcessState, RestartPolicy
from tests.children import acting
from tests.children.acting import QUICK, say, until
from tests.children.targets import receives

assert sys.platform != "win32", "exit codes as Unix has them"


def crashes() -> None:
    while not shared_memory.delete("crash"):
        time.sleep(0.005)
    os._exit(7)


async def crash(bot: LiteyukiBot, name: str) -> None:
    await bot.wait_ready(name, 20)
    shared_memory["crash"] = True


# ------------------------------------------------------------- SIGCHLD is ignored


def ignored() -> None:
    """With an argument the program itself ignores SIGCHLD, else whoever has started it must."""
    if sys.argv[1:]:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=QUICK)
    bot.add_process("other", receives)

    async def act() -> None:
        w = bot.processes["w"]
        await crash(bot, "w")
        await until(lambda: w.restarts == 1, "a restart")
        await bot.wait_ready("w", 20)

    acting.main(bot, act)
    say("> ignored again", signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN)


def ignored_by_its_starter() -> None:
    """As `trap '' CHLD` does in a shell."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.execv(sys.executable, [sys.executable, "-m", "tests.children", "reaping:ignored"])


# ------------------------------------------------------------- somebody else reaps


def wait_for_any() -> None:
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            time.sleep(0.001)


def reaped() -> None:
    """The first argument says what somebody does with the ends of all children."""
    somebody = sys.argv[1]
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=QUICK)
    bot.add_process("returns", receives)
    bot.add_process("waits", receives)

    async def act() -> None:
        w, returns = bot.processes["w"], bot.processes["returns"]
        for name in bot.processes:
            await bot.wait_ready(name, 20)
        if somebody == "waits for any child":
            threading.Thread(target=wait_for_any, daemon=True).start()
        else:
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        first = w.pid
        for turn in (1, 2):
            await crash(bot, "w")
            await until(lambda: w.restarts == turn, "a restart")
        await bot.wait_ready("w", 20)
        assert w.pid not in (None, first)
        get_channel("returns-active").send("return")
        await until(lambda: returns.state is ProcessState.STOPPED, "its end")
        assert (returns.exitcode or 0, returns.pid, returns.restarts) == (0, None, 0)
        bot.restart_process("waits")
        await until(lambda: bot.processes["waits"].restarts == 1, "a restart")
        await bot.wait_ready("waits", 20)

    acting.main(bot, act)


# ------------------------------------------------------------- process numbers


def numbers() -> None:
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=RestartPolicy("always", backoff=0.3, max_restarts=2))
    w = bot.processes["w"]

    def both() -> tuple[int | None, int | None]:
        return w.pid, w.last_pid

    assert both() == (None, None)
    seen: list[tuple[ProcessState, bool]] = []

    @bot.on_process_state
    def note(name: str, state: ProcessState) -> None:
        seen.append((state, w.pid is None))

    def look() -> None:
        while True:
            pid = w.pid
            try:
                if pid is not None:
                    os.kill(pid, 0)
            except ProcessLookupError:
                if w.pid == pid:  # Not just gone.
                    say("> names nobody", pid)
            time.sleep(0.0001)

    async def act() -> None:
        pids = []
        await bot.wait_ready("w", 20)
        threading.Thread(target=look, daemon=True).start()
        for _ in range(3):
            await bot.wait_ready("w", 20)
            pids.append(w.pid)
            assert w.last_pid == w.pid is not None
            await crash(bot, "w")
            await until(lambda: w.state not in (ProcessState.RUNNING, ProcessState.STARTING), "end")
            if w.state is ProcessState.BACKOFF:
                assert both() == (None, pids[-1])
        assert w.state is ProcessState.FAILED
        assert both() == (None, pids[-1])
        assert len(set(pids)) == 3
        bot.start_process("w")
        await bot.wait_ready("w", 20)
        assert w.pid == w.last_pid not in pids
        last = w.pid
        bot.stop_process("w")
        assert w.pid == last
        await until(lambda: w.state is ProcessState.STOPPED, "its end")
        assert both() == (None, last)
        say("pid=None" in repr(w))

    acting.main(bot, act)
    over = (ProcessState.BACKOFF, ProcessState.FAILED, ProcessState.STOPPED)
    assert all(none for state, none in seen if state in over), seen
    say("> looked")

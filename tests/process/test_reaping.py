"""Who waits for a child's end: exit codes that are lost on the way, and process numbers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.process.test_supervision import Environment, program, spoken
from tests.program import running, went_well

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="exit codes as Unix has them")

CRASHES = """
def crashes():
    while not shared_memory.delete("crash"):
        time.sleep(0.005)
    os._exit(7)


async def crash(bot, name):
    await bot.wait_ready(name, 20)
    shared_memory["crash"] = True
"""

IGNORED = {
    "by whoever has started it": "",
    "in bot.py": "    signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
}


@pytest.mark.parametrize("where", IGNORED)
def test_ends_of_children_are_ignored(tmp_path: Path, environment: Environment, where: str) -> None:
    """SIGCHLD ignored hides no exit code while the bot runs, and is ignored again after that."""
    program(
        tmp_path,
        CRASHES,
        f"""
if __name__ == "__main__":
{IGNORED[where]}
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=QUICK)
    bot.add_process("other", waits)

    async def act():
        w = bot.processes["w"]
        await crash(bot, "w")
        await until(lambda: w.restarts == 1, "a restart")
        await bot.wait_ready("w", 20)

    main(bot, act)
    say("> ignored again", signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN)
""",
    )
    start = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # As `trap '' CHLD` does in a shell.
os.execv(sys.executable, [sys.executable, "bot.py"])
"""
    arguments = ["bot.py"] if IGNORED[where] else ["-c", start]
    with running(tmp_path, environment, *arguments) as bot:
        went_well(bot)
        assert bot.found("process w exited with code 7; .*it is started again in"), bot.output
        assert len(bot.found("process (w|other) exited with code 0$")) == 2
        assert spoken(bot) == ["ignored again True"]
        assert not bot.found("Traceback|not known"), bot.output


SOMEBODY = {
    "waits for any child": """
        def wait_for_any():
            while True:
                try:
                    taken.append(os.waitpid(-1, 0)[0])
                except ChildProcessError:
                    time.sleep(0.001)

        threading.Thread(target=wait_for_any, daemon=True).start()
    """,
    "ignores them": """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    """,
}


@pytest.mark.parametrize("somebody", SOMEBODY)
def test_somebody_else_reaps(tmp_path: Path, environment: Environment, somebody: str) -> None:
    """The end is noticed and its code said to be unknown: a crash, unless it was in order."""
    program(
        tmp_path,
        CRASHES
        + """
def returns():
    active_channel.receive()
""",
        f"""
if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=QUICK)
    bot.add_process("returns", returns)
    bot.add_process("waits", waits)
    taken = []

    async def act():
        w, returns = bot.processes["w"], bot.processes["returns"]
        for name in bot.processes:
            await bot.wait_ready(name, 20)
        {SOMEBODY[somebody].strip()}
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

    main(bot, act)
""",
    )
    unknown = r"has ended; its exit code is not known \(something else in this process has .* it\)"
    lost, ended = f"(?:{unknown}|exited with code 7)", f"(?:{unknown}|exited with code 0)"
    if "ignores" in somebody:
        lost = ended = unknown  # Nobody can be quicker than the system itself.
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert len(bot.found(f"错误.*process w {lost}; .*started again in")) == 2
        assert bot.found(f"process returns {ended}$"), bot.output
        assert bot.found(f"process waits {ended}; it is started again"), bot.output
        assert not bot.found("Traceback|has not stopped"), bot.output


def test_a_number_names_a_living_process_or_nobody(
    tmp_path: Path, environment: Environment
) -> None:
    """`pid` is None from before the process is reaped, `last_pid` stays until there is another."""
    program(
        tmp_path,
        CRASHES,
        """
if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", crashes, restart=RestartPolicy("always", backoff=0.3, max_restarts=2))
    w = bot.processes["w"]
    assert (w.pid, w.last_pid) == (None, None)
    seen = []

    @bot.on_process_state
    def note(name, state):
        seen.append((state, w.pid is None))

    def look():
        while True:
            pid = w.pid
            try:
                if pid is not None:
                    os.kill(pid, 0)
            except ProcessLookupError:
                if w.pid == pid:  # Not just gone.
                    say("> names nobody", pid)
            time.sleep(0.0001)

    async def act():
        pids = []
        await bot.wait_ready("w", 20)
        threading.Thread(target=look, daemon=True).start()
        for turn in range(3):
            await bot.wait_ready("w", 20)
            pids.append(w.pid)
            assert w.last_pid == w.pid is not None
            await crash(bot, "w")
            await until(lambda: w.state not in (ProcessState.RUNNING, ProcessState.STARTING), "end")
            if w.state is ProcessState.BACKOFF:
                assert (w.pid, w.last_pid) == (None, pids[-1])
        assert w.state is ProcessState.FAILED
        assert (w.pid, w.last_pid) == (None, pids[-1])
        assert len(set(pids)) == 3
        bot.start_process("w")
        await bot.wait_ready("w", 20)
        assert w.pid == w.last_pid not in pids
        last = w.pid
        bot.stop_process("w")
        assert w.pid == last
        await until(lambda: w.state is ProcessState.STOPPED, "its end")
        assert (w.pid, w.last_pid) == (None, last)
        say("pid=None" in repr(w))

    main(bot, act)
    over = (ProcessState.BACKOFF, ProcessState.FAILED, ProcessState.STOPPED)
    assert all(none for state, none in seen if state in over), seen
    say("> looked")
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert spoken(bot) == ["looked"], bot.output

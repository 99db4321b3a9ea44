"""How a main process can end or break: its children leave within 5 s, and it says why."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.program import living, running, write_files
from tests.test_bot import ECHO, STUBBORN, WAITS, Environment, program, unix

LEAVE_SECONDS = 5.0

BOTH = """
bot.add_process("waits", waits)
bot.add_process("echo", echo)

@bot.on_after_shutdown
async def last():
    open("exitcodes", "w").write(str([p.exitcode for p in bot.processes.values()]))
"""

TERMINAL = """
import os
import pty
import sys
import time

pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.executable, [sys.executable, "bot.py"])
seen = b""
while b"ready" not in seen or seen.count(b"started (pid") < 2:
    seen += os.read(terminal, 1000)
    with open("seen", "wb") as file:
        file.write(seen)
print("ready", flush=True)
while not os.path.exists("close"):
    time.sleep(0.01)
os.close(terminal)
print("ended with", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


def stopped_all(folder: Path) -> bool:
    """Return whether shutdown hooks ran once both children had stopped as they were asked to."""
    return (folder / "exitcodes").read_text(encoding="utf-8") == "[0, 0]"


@unix
def test_a_closed_terminal(tmp_path: Path, environment: Environment) -> None:
    """Everything stops as it would otherwise, though nothing can be written any more."""
    program(tmp_path, ECHO + WAITS, BOTH)
    text = (tmp_path / "bot.py").read_text(encoding="utf-8")
    silent = text.replace("print('run returned')", "")
    write_files(tmp_path, {"bot.py": silent, "terminal.py": TERMINAL})
    with running(tmp_path, environment, "terminal.py") as terminal:
        try:
            terminal.wait_for_line("^ready")
        except pytest.fail.Exception as failure:
            seen = (tmp_path / "seen").read_text(encoding="utf-8", errors="replace")
            pytest.fail(f"{failure}; the terminal has shown:\n{seen}")
        family = terminal.children()
        assert len(family) >= 3
        (tmp_path / "close").touch()
        ended = terminal.wait_for_line(r"^ended with (-?\d+)", timeout=LEAVE_SECONDS)
        assert ended[1] == "0"
        wait_until(lambda: not living(family), "all have left", LEAVE_SECONDS)
        assert stopped_all(tmp_path)
        assert terminal.wait() == 0


@pytest.mark.parametrize("kind", ["before_start", "after_start", "after_shutdown"])
@pytest.mark.parametrize(
    ("act", "code", "raised"),
    [
        ("asyncio.get_running_loop().stop()", 1, "RuntimeError"),
        ("sys.exit(7)", 7, "SystemExit"),
    ],
)
def test_a_hook_ends_the_loop(
    tmp_path: Path, environment: Environment, kind: str, act: str, code: int, raised: str
) -> None:
    """Children are stopped and shutdown hooks run before `run` passes on what was raised."""
    program(
        tmp_path,
        ECHO,
        f"""
bot.add_process("echo", echo)

@bot.on_after_shutdown
async def last():
    print("exit codes", [p.exitcode for p in bot.processes.values()], flush=True)

@bot.on_{kind}
async def ends():
    print("ends", flush=True)
    {act}

if {kind!r} == "after_shutdown":
    bot.on_after_start(bot.stop)
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("^ends")
        assert bot.wait(LEAVE_SECONDS) == code
        (exits,) = bot.found(r"^exit codes \[(.*)\]")
        assert exits[1] == "0" or (kind == "before_start" and exits[1] == "None"), bot.output
        assert bot.found("LiteyukiBot has stopped$")
        if kind != "after_shutdown":
            assert bot.found(f"LiteyukiBot stops: {raised}")
        assert not bot.found("run returned|ignored its cancellation")


def test_the_hub_breaks(tmp_path: Path, environment: Environment) -> None:
    """The child that it broke for leaves and is started again; main says so and goes on."""
    program(
        tmp_path,
        ECHO + WAITS,
        """
bot.add_process("waits", waits)
bot.add_process("echo", echo)
channel = get_channel("echo-active")
take, left = bot._hub.data, [1]

def breaks(peer, number, batch):
    if peer.process == "echo" and left:
        left.pop()
        raise ZeroDivisionError("the hub has a bug")
    take(peer, number, batch)

bot._hub.data = breaks

@bot.on_after_start
async def use():
    channel.send("is lost to nobody")
    print(await channel.async_receive(), flush=True)
    print("restarts", [p.restarts for p in bot.processes.values()], flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("ZeroDivisionError")
        assert bot.wait() == 0
        assert bot.found("^is lost to nobody")
        assert bot.found(r"^restarts \[0, 1\]")
        assert len(bot.found("process echo: its link is ended: .*ZeroDivisionError")) == 1
        assert bot.found(r"in breaks$")


def test_the_supervisor_breaks(tmp_path: Path, environment: Environment) -> None:
    """Nobody knows what its children do then: all is stopped in order, and `run` raises."""
    program(
        tmp_path,
        ECHO
        + WAITS
        + """
def crashes():
    os._exit(7)
""",
        """
bot.add_process("waits", waits)
bot.add_process("echo", echo)
bot.add_process("crashes", crashes)
ended = bot._hub.process_ended

def breaks(name, *args, **kwargs):
    if name == "crashes":
        raise ZeroDivisionError("the hub has a bug")
    ended(name, *args, **kwargs)

bot._hub.process_ended = breaks

@bot.on_after_shutdown
def last():
    print("exit codes", [p.exitcode for p in bot.processes.values()], flush=True)
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("严重.*LiteyukiBot itself is broken")
        assert bot.wait(LEAVE_SECONDS) == 1
        assert bot.found("LiteyukiBot stops: ZeroDivisionError")
        assert bot.found(r"^exit codes \[0, 0, 7\]")
        assert bot.found("in breaks$")
        assert not bot.found("run returned|has not stopped")


@unix
def test_a_signal_while_it_stops_is_answered(tmp_path: Path, environment: Environment) -> None:
    """The first says that it stops already and changes nothing; the next ends all at once."""
    program(
        tmp_path,
        STUBBORN,
        """
bot.add_process("stubborn", stubborn)

@bot.on_after_start
async def stop():
    while not os.path.exists("stop"):
        await asyncio.sleep(0.01)
    bot.stop()
""",
    )
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="600") as bot:
        bot.wait_for_line("^ready")
        family = bot.children()
        (tmp_path / "stop").touch()
        bot.wait_for_line("LiteyukiBot stops: asked to stop")
        bot.process.send_signal(signal.SIGINT)
        bot.wait_for_line("SIGINT: LiteyukiBot stops already; another one ends everything at once")
        assert len(living(family)) == len(family)
        # Signals that come together count as one: repeat it as an impatient user would.
        wait_until(lambda: bot.process.send_signal(signal.SIGINT) or bot.process.poll() is not None)
        bot.wait()
        assert bot.found("SIGINT again: everything is ended at once")
        wait_until(lambda: not living(family), "all are ended")

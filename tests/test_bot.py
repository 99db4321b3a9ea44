"""LiteyukiBot as a program: children, hooks, signals, deadlines, bad input.

Tests hooks.py, signals.py, stop.py, process/stopping.py.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import wait_until
from tests.program import living, python, running, write_files

HEAD = """
import asyncio
import os
import signal
import sys
import threading
import time

from liteyuki_core import LiteyukiBot, get_bot, get_channel, logger
from liteyuki_core.comm import active_channel, passive_channel
from liteyuki_core.process import RestartPolicy

NEVER = RestartPolicy(mode="never")


"""

READY = r"^(?:\w+ \| )?ready"
"""A child's line; where there are several it begins with the child's name."""

Environment = dict[str, str]
pytestmark = pytest.mark.filterwarnings("error")
unix = pytest.mark.skipif(sys.platform == "win32", reason="signals as Unix has them")


def program(folder: Path, children: str, main: str) -> None:
    """Write a bot.py: `children` at the top of the module, `main` under its guard."""
    body = "\n".join("    " + line for line in main.strip("\n").splitlines())
    text = HEAD + children + '\n\nif __name__ == "__main__":\n    bot = LiteyukiBot()\n' + body
    write_files(folder, {"bot.py": text + "\n    bot.run()\n    print('run returned')\n"})


ECHO = """
def echo():
    for data in active_channel:
        active_channel.send(data)
"""

WAITS = """
def waits():
    print("ready", os.getpid(), flush=True)
    threading.Event().wait()
"""

STUBBORN = """
def stubborn():
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print("ready", os.getpid(), flush=True)
    while True:
        time.sleep(1)
"""


def pids(bot: Any) -> list[psutil.Process]:
    """Return the children that have said they are ready."""
    return [psutil.Process(int(match[1])) for match in bot.found(READY + r" (\d+)")]


# ------------------------------------------------------------- running and stopping


def test_runs_until_stopped(tmp_path: Path, environment: Environment) -> None:
    """run() goes on when all hooks and children have ended, and returns after stop()."""
    program(
        tmp_path,
        ECHO + "\ndef short():\n    print('short is done', flush=True)\n",
        """
bot.add_process("echo", echo)
bot.add_process("short", short)
channel = get_channel("echo-active")

@bot.on_after_start
def ends_at_once():
    print("hook has ended", flush=True)

@bot.on_after_start
async def later():
    while bot.processes["short"].exitcode is None:
        await asyncio.sleep(0.01)
    channel.send("still here")
    print(await channel.async_receive(), flush=True)
    print(bot.processes["echo"], flush=True)
    assert get_bot() is bot
    bot.stop()
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        bot.wait_for_line("^run returned")
        assert bot.found("still here")
        assert bot.found("<ChildProcess 'echo' running pid=")
        assert bot.found("process short exited with code 0")
        assert bot.found("process echo exited with code 0")
        assert not bot.found("Traceback|has not stopped")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("SIGINT"),
        pytest.param("SIGTERM", marks=unix),
        pytest.param("SIGHUP", marks=unix),
    ],
)
def test_a_signal_stops_gracefully(tmp_path: Path, environment: Environment, name: str) -> None:
    """Each child is asked, all have ended when run() returns, and it returns normally."""
    program(
        tmp_path,
        ECHO + WAITS,
        f"""
# Whoever runs the tests may ignore some signals, and children of theirs would too.
signal.signal(signal.{name}, signal.SIG_DFL)
bot.add_process("echo", echo)
bot.add_process("waits", waits)
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line(READY)
        family = bot.children()
        if name == "SIGINT":
            bot.interrupt()
        else:
            os.kill(bot.process.pid, getattr(signal, name))
        assert bot.wait() == 0
        assert bot.found("run returned")
        wait_until(lambda: not living(family), "all are ended")
        assert not bot.found("Traceback|has not stopped"), bot.output
        assert len(bot.found("exited with code 0$")) == 2


@unix
def test_ctrl_c_in_the_terminal_reaches_the_main_process_alone(
    tmp_path: Path, environment: Environment
) -> None:
    """Children have left the terminal's process group: main decides how they stop."""
    program(tmp_path, WAITS, 'bot.add_process("waits", waits)')
    with running(tmp_path, environment) as bot:
        bot.wait_for_line(READY)
        (child,) = pids(bot)
        assert os.getpgid(child.pid) != os.getpgid(bot.process.pid)
        assert bot.stop() == 0
        assert not bot.found("Traceback|KeyboardInterrupt")


@unix
def test_started_with_signals_ignored(tmp_path: Path, environment: Environment) -> None:
    """As under nohup: SIGHUP stays ignored, children are stopped all the same."""
    program(tmp_path, ECHO + WAITS, 'bot.add_process("waits", waits)')
    text = (tmp_path / "bot.py").read_text(encoding="utf-8")
    ignore = "import signal\nfor name in ('SIGHUP', 'SIGINT'):\n"
    ignore += "    signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
    guarded = text.replace("    bot = LiteyukiBot()", "    exec(IGNORE)\n    bot = LiteyukiBot()")
    (tmp_path / "bot.py").write_text(f"IGNORE = {ignore!r}\n{guarded}", encoding="utf-8")
    with running(tmp_path, environment) as bot:
        bot.wait_for_line(READY)
        bot.process.send_signal(signal.SIGHUP)
        bot.process.send_signal(signal.SIGTERM)
        assert bot.wait() == 0
        assert bot.found("LiteyukiBot stops: SIGTERM")
        assert bot.found("process waits exited with code 0")


def test_a_message_in_hand_is_finished(tmp_path: Path, environment: Environment) -> None:
    """A child whose main thread receives ends after the message it has, not in the middle."""
    program(
        tmp_path,
        """
def worker():
    for job in active_channel:
        print("begun", flush=True)
        time.sleep(job)
        print("finished", flush=True)
        active_channel.send("result")
""",
        """
bot.add_process("worker", worker)
channel = get_channel("worker-active")
bot.on_after_start(lambda: channel.send(1))
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("^begun")
        assert bot.stop() == 0
        assert bot.found("^finished")
        assert bot.found("process worker exited with code 0")


def test_what_a_child_sends_at_its_end_arrives(tmp_path: Path, environment: Environment) -> None:
    """All that was accepted before a target returns is delivered."""
    program(
        tmp_path,
        """
def burst():
    for i in range(500):
        passive_channel.send(i)
    passive_channel.send(b"x" * 3_000_000)
""",
        """
bot.add_process("burst", burst)
channel = get_channel("burst-passive")

@bot.on_after_start
async def collect():
    got = [data async for data in channel]
    assert got == [*range(500), b"x" * 3_000_000]
    print("all there", flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found("all there")


@unix
def test_a_child_that_will_not_stop_is_killed(tmp_path: Path, environment: Environment) -> None:
    """Asked, terminated, then killed by the deadline; the others have stopped before."""
    program(
        tmp_path,
        STUBBORN + ECHO,
        'bot.add_process("stubborn", stubborn)\nbot.add_process("echo", echo)',
    )
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="2") as bot:
        bot.wait_for_line(READY)
        assert bot.stop() == 0
        assert bot.found("process stubborn has not stopped: terminate")
        assert bot.found("process stubborn has not stopped: kill")
        assert bot.found(r"process stubborn was ended by signal 9 \(SIGKILL\)")
        assert bot.found("process echo exited with code 0")


@unix
def test_a_second_signal_ends_everything_at_once(tmp_path: Path, environment: Environment) -> None:
    """However long the deadline, a second signal kills what is left."""
    program(tmp_path, STUBBORN, 'bot.add_process("stubborn", stubborn)')
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="600") as bot:
        bot.wait_for_line(READY)
        family = bot.children()
        bot.interrupt()
        bot.wait_for_line("LiteyukiBot stops: SIGINT")
        # Signals that come together count as one: repeat it as an impatient user would.
        wait_until(
            lambda: bot.process.send_signal(signal.SIGTERM) or bot.process.poll() is not None
        )
        bot.wait()
        assert bot.found("everything is ended at once")
        wait_until(lambda: not living(family), "all are ended")


@unix
def test_a_hung_loop_is_ended_by_force(tmp_path: Path, environment: Environment) -> None:
    """A hook that blocks the main loop for ever can't keep the program from ending."""
    program(
        tmp_path,
        WAITS,
        """
bot.add_process("waits", waits)

@bot.on_after_start
async def blocks():
    while bot.processes["waits"].state.value != "running":
        await asyncio.sleep(0.01)
    print("blocking", flush=True)
    threading.Event().wait()
""",
    )
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="1") as bot:
        bot.wait_for_line("^blocking")
        bot.wait_for_line(READY)
        family = bot.children()
        bot.interrupt()
        assert bot.wait() == 1
        assert bot.found("严重.*hangs")
        wait_until(lambda: not living(family))


def test_main_is_killed(tmp_path: Path, environment: Environment) -> None:
    """However the main process dies, every child notices and leaves within 5 s."""
    program(
        tmp_path,
        ECHO
        + WAITS
        + """
def callbacks():
    @passive_channel.on_receive()
    async def callback(data): ...
    print("ready", os.getpid(), flush=True)
    time.sleep(1000)


def receives():
    print("ready", os.getpid(), flush=True)
    active_channel.receive()


def blocks_signals():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    print("ready", os.getpid(), flush=True)
    while True:
        time.sleep(1000)
""",
        "\n".join(
            f'bot.add_process("{name}", {name})'
            for name in ("waits", "callbacks", "receives", "blocks_signals")
        ),
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line(READY, 4)
        children = pids(bot)
        bot.process.kill()
        wait_until(lambda: not living(children), "all children gone", timeout=5)


def test_a_child_crash_is_felt_by_nobody_else(tmp_path: Path, environment: Environment) -> None:
    """One child dies by os._exit in the middle of a message; another and main go on."""
    program(
        tmp_path,
        ECHO + "\ndef crashes():\n    active_channel.receive()\n    os._exit(7)\n",
        """
bot.add_process("echo", echo)
bot.add_process("crashes", crashes, restart=NEVER)
fine, broken = get_channel("echo-active"), get_channel("crashes-active")

@bot.on_after_start
async def use_both():
    broken.send("die")
    while bot.processes["crashes"].exitcode is None:
        fine.send("ping")
        assert await fine.async_receive(10) == "ping"
    for act in (lambda: broken.send("more"), broken.receive_nowait):
        try:
            act()
        except ConnectionError as error:
            print("got", type(error).__name__, error, flush=True)
    fine.send("last")
    print(await fine.async_receive(10), flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert len(bot.found("got ChannelBroken channel crashes-active: .*exited with code 7")) == 2
        assert bot.found("^last")
        assert bot.found("错误.*process crashes exited with code 7")


# ------------------------------------------------------------- hooks


def test_hooks(tmp_path: Path, environment: Environment) -> None:
    """Sync and async, in their order, on the right threads; one that raises is logged."""
    program(
        tmp_path,
        ECHO,
        """
bot.add_process("echo", echo)
main = threading.get_ident()
lines = []
logger.add(lines.append)

def note(what):
    print("hook", what, threading.get_ident() == main, flush=True)

@bot.on_before_start
def before_sync():
    assert bot.processes["echo"].pid is None
    note("before sync")

@bot.on_before_start
async def before_raises():
    raise ValueError("trouble before")

@bot.on_before_start
async def before_async():
    await asyncio.sleep(0.01)
    note("before async")

@bot.on_after_start
def after_raises():
    raise ValueError("trouble after")

@bot.on_after_start
async def after_async():
    assert bot.processes["echo"].pid is not None
    note("after async")
    while not any("trouble after" in line for line in lines):
        await asyncio.sleep(0.01)
    bot.stop()

@bot.on_after_shutdown
async def first_added():
    note("shutdown first added")

@bot.on_after_shutdown
def shutdown_raises():
    raise ValueError("trouble shutdown")

@bot.on_after_shutdown
async def last_added():
    assert bot.processes["echo"].exitcode == 0
    note("shutdown last added")
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert [match[1] for match in bot.found("^hook (.*)")] == [
            "before sync False",
            "before async True",
            "after async True",
            "shutdown last added True",
            "shutdown first added True",
        ]
        for when in ("before", "after", "shutdown"):
            assert bot.found(f"错误.*hook .*trouble {when}")
            assert bot.found(f"^ValueError: trouble {when}")


def test_a_hook_that_raises_while_the_bot_stops(tmp_path: Path, environment: Environment) -> None:
    """A sync hook's thread is not waited for, but what it raises is still logged."""
    program(
        tmp_path,
        "",
        """
stopping = threading.Event()

@bot.on_after_start
def raises_late():
    stopping.wait(10)
    raise ValueError("trouble late")

@bot.on_after_start
async def stop():
    bot.stop()

@bot.on_after_shutdown
async def shutting_down():
    lines = []
    logger.add(lines.append)
    stopping.set()
    while not any("trouble late" in line for line in lines):
        await asyncio.sleep(0.01)
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found("错误.*on_after_start hook .*raises_late raised .*trouble late")


@pytest.mark.parametrize("kind", ["before_start", "after_start", "after_shutdown"])
@pytest.mark.parametrize(
    "how", ["async def hook(): await asyncio.sleep(1000)", "def hook(): time.sleep(1000)"]
)
def test_a_hook_that_never_returns(
    tmp_path: Path, environment: Environment, kind: str, how: str
) -> None:
    """It doesn't keep the bot from stopping, nor the other hooks from running."""
    program(
        tmp_path,
        "",
        f"""
@bot.on_after_shutdown
def last():
    print("last hook", flush=True)

@bot.on_before_start
def ready():
    print("begun", flush=True)

@bot.on_{kind}
{how}
""",
    )
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="1") as bot:
        bot.wait_for_line("^begun")
        assert bot.stop() == 0
        assert bot.found("run returned")
        if kind != "after_shutdown":
            assert bot.found("^last hook")
        else:
            assert bot.found("错误.*hook.*did not end in time")


# ------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('bot.add_process("a", echo); bot.add_process("a", echo)', "ProcessExists: .*'a'"),
        ('bot.add_process("", echo)', "ValueError: a name must have"),
        ("bot.add_process(3, echo)", "TypeError: a name must be a string"),
        ('bot.add_process("a", lambda: 1)', "ProcessStartError: process a: .*top of a module"),
        ('bot.add_process("a", "no_colon")', "ProcessStartError: .*package.module:function"),
        ('bot.add_process("a", 3)', "ProcessStartError: process a: .*not int"),
        ('bot.add_process("a", echo, (threading.Lock(),))', "ProcessStartError: process a"),
        ('bot.add_process("a", echo, restart="always")', "TypeError: .*RestartPolicy, not str"),
        ('bot.restart_process("b")', r"ProcessNotFound: .*'b' \(there are: none\)"),
        ('get_channel("nobody-active")', "ChannelNotFound: no channel is named 'nobody-active'"),
        ("active_channel.send(1)", r'NotConnected: .*get_channel\("NAME-active"\)'),
        ("bot.run(); bot.run()", "LiteyukiError: .*has run"),
    ],
)
def test_clear_errors(tmp_path: Path, environment: Environment, line: str, error: str) -> None:
    """Each mistake raises an error of ours that says what happened and to what."""
    program(tmp_path, ECHO, ("bot.stop()\n" if "run()" in line else "") + line)
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 1
        assert bot.found(error)


@pytest.mark.parametrize(
    ("target", "code", "line"),
    [
        ('"no_such_module:main"', 1, "can't be imported: ModuleNotFoundError.*no_such_module"),
        ('"os:no_such_name"', 1, "can't be imported: AttributeError.*no_such_name"),
        ('"os:sep"', 1, "os:sep is a str, not a callable"),
        ("exits", 5, "process bad exited with code 5"),
        ("raises", 1, "process bad: .*raises raised"),
    ],
)
def test_a_target_that_can_not_run(
    tmp_path: Path, environment: Environment, target: str, code: int, line: str
) -> None:
    """The log says why and with which exit code; the channel breaks; main lives on."""
    program(
        tmp_path,
        "def exits():\n    sys.exit(5)\n\n\ndef raises():\n    1 / 0\n",
        f"""
bot.add_process("bad", {target}, restart=NEVER)
channel = get_channel("bad-active")

@bot.on_after_start
async def watch():
    try:
        await channel.async_receive(10)
    except ConnectionError as error:
        print("main got", type(error).__name__, flush=True)
    await asyncio.sleep(0)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found(line)
        assert bot.found(f"错误.*process bad exited with code {code}")
        assert bot.found("main got ChannelBroken")


def test_a_missing_guard_is_explained(tmp_path: Path, environment: Environment) -> None:
    """Without `if __name__ == "__main__":` each child says what to do."""
    write_files(
        tmp_path,
        {
            "bot.py": HEAD
            + """
bot = LiteyukiBot()
bot.add_process("echo", "os:getpid")
bot.run()
"""
        },
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("__main__.*:` *$|if __name__ == ")
        bot.wait_for_line("process echo exited with code 1")
        assert bot.stop() == 0


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("LITEYUKI_LOG_LEVEL", "LOUD", "'INFO'"),
        ("LITEYUKI_LOG_LANG", "fr", "'zh' or 'en'"),
        ("LITEYUKI_LOG_ICON", "perhaps", "boolean"),
        ("LITEYUKI_STOP_TIMEOUT", "-1", "greater than 0"),
        ("LITEYUKI_MAX_MESSAGE_BYTES", "many", "integer"),
    ],
)
def test_a_broken_setting(
    tmp_path: Path, environment: Environment, key: str, value: str, allowed: str
) -> None:
    """The error names the key as it stands in .env, its value and what is allowed."""
    program(tmp_path, "", "")
    write_files(tmp_path, {".env": f"{key}={value}\n"})
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 1
        assert bot.found(f"ConfigError: {key}={value}: .*{allowed}")


def test_get_bot_in_a_child(tmp_path: Path, environment: Environment) -> None:
    """There, and without a LiteyukiBot, it says where it belongs."""
    result = python("from liteyuki_core import get_bot; get_bot()", tmp_path, environment)
    assert result.returncode == 1
    assert "NotConnected: there is no LiteyukiBot in this process" in result.stdout


def test_a_liteyukibot_in_a_child(tmp_path: Path, environment: Environment) -> None:
    """Wherever it is made: it is refused and says what to use, and the connection stays."""
    program(
        tmp_path,
        """
def child():
    import subprocess

    from elsewhere import Own, make

    for kind in (make, Own, LiteyukiBot):
        try:
            kind()
        except Exception as error:
            active_channel.send(f"{type(error).__name__}: {error}")
    own = "from elsewhere import make; make(); print('may have its own', flush=True)"
    os.mkdir("other")
    folder = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", own], cwd="other", env=folder, check=True)
    active_channel.send("still connected")
    active_channel.receive()
""",
        """
bot.add_process("child", child)

@bot.on_after_start
async def use():
    channel = get_channel("child-active")
    for _ in range(4):
        print("told", await channel.async_receive(20), flush=True)
    bot.stop()
""",
    )
    elsewhere = """
    from liteyuki_core import LiteyukiBot

    class Own(LiteyukiBot):
        def __init__(self):
            super().__init__()

    def make():
        return LiteyukiBot()
    """
    write_files(tmp_path, {"elsewhere.py": elsewhere})
    with running(tmp_path, environment) as bot:
        assert bot.wait(60) == 0
        told = bot.found("^told LiteyukiError: this is child process child, .* get_channel, ")
        assert len(told) == 3, bot.output
        assert bot.found("^told still connected")
        assert bot.found("may have its own$"), bot.output


def test_a_missing_guard_in_a_module_that_bot_py_imports(
    tmp_path: Path, environment: Environment
) -> None:
    """The main file is imported again in each child, and with it what makes a LiteyukiBot."""
    write_files(
        tmp_path,
        {
            "made.py": "from liteyuki_core import LiteyukiBot\n\nbot = LiteyukiBot()\n",
            "bot.py": """
                from made import bot

                if __name__ == "__main__":
                    bot.add_process("echo", "os:getpid")
                    bot.run()
            """,
        },
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("LiteyukiError: bot.py is imported again by each child process")
        bot.wait_for_line("process echo exited with code 1")
        assert bot.stop() == 0


@unix
def test_a_fork_lets_go_of_the_link(tmp_path: Path, environment: Environment) -> None:
    """A copy of a child made by fork can't use its channels, and doesn't hide its death.

    It has left the child's group; otherwise it would be ended with it.
    """
    program(
        tmp_path,
        """
def forks():
    if os.fork() == 0:
        os.setsid()
        try:
            active_channel.send("from the copy")
        except Exception as error:
            os.write(1, f"copy got {type(error).__name__}\\n".encode())
        time.sleep(3)
        os._exit(0)
    active_channel.send("from the child")
    active_channel.receive()  # Or another thread might still be about to write that.
    os._exit(9)
""",
        """
bot.add_process("forks", forks, restart=NEVER)
channel = get_channel("forks-active")

@bot.on_after_start
async def watch():
    print(await channel.async_receive(10), flush=True)
    channel.send("go")
    try:
        await channel.async_receive(2)
    except Exception as error:
        print("main got", type(error).__name__, flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found("^from the child")
        assert bot.found("copy got NotConnected")
        assert bot.found("main got ChannelBroken")


def test_a_process_added_while_running_starts(tmp_path: Path, environment: Environment) -> None:
    """add_process from a hook starts the child at once; its channels exist before."""
    program(
        tmp_path,
        ECHO,
        """
@bot.on_after_start
async def add():
    bot.add_process("late", echo)
    channel = get_channel("late-active")
    channel.send("hello")
    print("echoed", await channel.async_receive(10), flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found("echoed hello")


def test_an_async_target_runs_to_its_end(tmp_path: Path, environment: Environment) -> None:
    """A coroutine function is run, and stops when asked."""
    program(
        tmp_path,
        """
async def worker():
    async for data in active_channel:
        await active_channel.async_send(data * 2)
    print("worker is done", flush=True)
""",
        """
bot.add_process("worker", worker)
channel = get_channel("worker-active")

@bot.on_after_start
async def use():
    channel.send(21)
    print("got", await channel.async_receive(10), flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found("got 42")
        assert not bot.found("Traceback|has not stopped")


def test_garbage_on_a_link(tmp_path: Path, environment: Environment) -> None:
    """The link ends with one log line that names the process; main and the others live on."""
    program(
        tmp_path,
        ECHO
        + """
def talks_nonsense():
    from liteyuki_core.comm.current import current

    active_channel.receive()
    current().port._link._connection.send(b"nonsense" * 100)
    active_channel.receive()
""",
        """
bot.add_process("echo", echo)
bot.add_process("nonsense", talks_nonsense, restart=NEVER)
fine, bad = get_channel("echo-active"), get_channel("nonsense-active")

@bot.on_after_start
async def use_both():
    bad.send("go")
    try:
        await bad.async_receive(10)
    except ConnectionError as error:
        print("main got", type(error).__name__, flush=True)
    fine.send("still here")
    print(await fine.async_receive(10), flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert (
            len(
                bot.found(
                    "错误.*process nonsense: its link is ended: bytes 6e6f6e73656e73.* no frame"
                )
            )
            == 1
        )
        assert bot.found("main got ChannelBroken")
        assert bot.found("^still here")
        assert not bot.found("Traceback")


def test_children_talk_to_each_other(tmp_path: Path, environment: Environment) -> None:
    """A channel made in a child is got by name in another; main only passes it on."""
    program(
        tmp_path,
        """
def maker():
    from liteyuki_core.comm import Channel, set_channel

    channel = Channel("jobs", capacity=8)
    set_channel("jobs", channel)
    active_channel.send("made")
    assert channel.receive(10) == {"job": 1}
    channel << "result"
    assert list(channel) == []


def getter():
    assert active_channel.receive(10) == "now"
    channel = get_channel("jobs")
    channel.send({"job": 1})
    active_channel.send(channel.receive(10))
    channel.close()  # The message is handled.
    active_channel.receive()
""",
        """
bot.add_process("maker", maker)
bot.add_process("getter", getter)
made, got = get_channel("maker-active"), get_channel("getter-active")

@bot.on_after_start
async def introduce():
    print(await made.async_receive(10), flush=True)
    got.send("now")
    print(await got.async_receive(10), flush=True)
    bot.stop()
""",
    )
    with running(tmp_path, environment) as bot:
        assert bot.wait() == 0
        assert bot.found("^result")
        assert not bot.found("Traceback|警告")

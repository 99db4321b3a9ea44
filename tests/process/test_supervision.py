"""Real children that are started, stopped, restarted and that fail: states, hooks, groups."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.program import ACTING, Program, living, running, went_well, write_files

Environment = dict[str, str]
unix = pytest.mark.skipif(sys.platform == "win32", reason="process groups as Unix has them")

HEAD = f"""{ACTING}
import signal
import subprocess
import sys
import threading
from pathlib import Path

from liteyuki_core import Channel, LiteyukiBot, get_channel, logger, shared_memory
from liteyuki_core.comm import active_channel
from liteyuki_core.errors import ProcessError
from liteyuki_core.process import (
    ProcessState, RestartPolicy, calls_ready, ready, request_restart,
)

QUICK = RestartPolicy(backoff=0.01, max_backoff=0.01)


def waits():
    active_channel.receive()
"""


def program(folder: Path, *parts: str) -> None:
    """Write a bot.py of these parts."""
    write_files(folder, {"bot.py": "\n\n".join((HEAD, *parts))})


def spoken(bot: Program, start: str = "> ") -> list[str]:
    """Return what the program has said with `start`."""
    return [match[1] for match in bot.found(f"^{re.escape(start)}(.*)$")]


def test_states_are_entered_once_and_offered_to_hooks(
    tmp_path: Path, environment: Environment
) -> None:
    """A target decorated with `calls_ready` is RUNNING when it says so, not before."""
    program(
        tmp_path,
        """
@calls_ready
def slow():
    active_channel.send("connected")
    active_channel.receive()
    ready()
    ready()  # Once more does nothing.
    active_channel.receive()


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("slow", slow)
    slow_one, channel = bot.processes["slow"], get_channel("slow-active")

    @bot.on_process_state
    async def async_hook(name, state):
        say(">", name, state.name)

    @bot.on_process_state
    def sync_hook(name, state):
        say("sync", name, state.name)

    @bot.on_before_process_restart
    def before_restart(name):
        say("> before restart of", name, slow_one.state.name)

    @bot.on_before_process_shutdown
    async def before_shutdown(name):
        say("> before shutdown of", name, slow_one.state.name)

    @bot.on_after_restart
    async def after_restart(name):
        say("> after restart of", name, slow_one.state.name)

    async def comes_up():
        assert await channel.async_receive(20) == "connected"
        assert slow_one.state is ProcessState.STARTING
        waiting = asyncio.ensure_future(bot.wait_ready("slow", 20))
        await asyncio.sleep(0)
        assert not waiting.done()
        channel.send("go on")
        await waiting
        assert slow_one.state is ProcessState.RUNNING
        await bot.wait_ready("slow")  # At once.

    async def act():
        await comes_up()
        for _ in range(10):
            bot.restart_process("slow")  # Asked for at once they are one.
        assert slow_one.state is ProcessState.STOPPING
        await comes_up()
        assert slow_one.restarts == 1
        channel.send("end")
        await until(lambda: slow_one.state is ProcessState.STOPPED, "its end")
        bot.start_process("slow")
        assert slow_one.state is ProcessState.STARTING
        await comes_up()
        bot.stop_process("slow")
        bot.start_process("slow")  # Not forgotten: when it has stopped.
        await comes_up()
        assert slow_one.restarts == 2

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        up = ["slow STARTING", "slow RUNNING"]
        said = spoken(bot)
        states = [line for line in said if re.fullmatch("slow [A-Z]+", line)]
        assert states == [
            *(*up, "slow STOPPING"),
            *(*up, "slow STOPPED"),
            *(*up, "slow STOPPING"),
            *(*up, "slow STOPPING", "slow STOPPED"),
        ]
        assert spoken(bot, "sync ") == states
        restart = [
            "before restart of slow STOPPING",
            "before shutdown of slow STOPPING",
            "after restart of slow RUNNING",
        ]
        others = [line for line in said if line not in states]
        assert others == [*restart, *restart, restart[1]]
        assert len(bot.found("process slow started")) == 4
        assert len(bot.found("process slow is ready, .* s after its start$")) == 4
        assert len(bot.found("process slow is to stop$")) == 3
        assert len(bot.found("process slow exited with code 0; it is started again$")) == 2


def test_waiting_for_what_never_comes(tmp_path: Path, environment: Environment) -> None:
    """`wait_ready` says why; a child that can't start is not hammered, its log says what to do."""
    program(
        tmp_path,
        """
@calls_ready
def never():
    active_channel.receive()


@calls_ready
def raises():
    raise OSError("no database")


def could_not():
    sys.exit(3)


def returns():
    pass


@calls_ready
def second_time_not():
    if not shared_memory.incr("lives") == 1:
        raise OSError("it was there before")
    ready()
    active_channel.receive()
    os._exit(7)


if __name__ == "__main__":
    bot = LiteyukiBot()
    always = RestartPolicy(mode="always", max_restarts=2, backoff=0.01, max_backoff=0.02)
    for target in (never, raises, could_not, returns, second_time_not):
        bot.add_process(target.__name__, target, restart=always)
    bot.add_process("missing", "no_such_module:function", restart=always)

    async def error_of(name, timeout=20):
        try:
            await bot.wait_ready(name, timeout)
        except Exception as error:
            say(f"> {name} {type(error).__name__}: {error}")

    async def act():
        await error_of("never", 0.2)
        await error_of("nobody")
        for name in ("raises", "missing"):
            await error_of(name)
            assert bot.processes[name].restarts == 0
        for name, restarts in (("could_not", 0), ("returns", 2)):
            child = bot.processes[name]
            await until(lambda: child.state is ProcessState.FAILED or child.outcome
                        and child.state is ProcessState.STOPPED, name)
            say(f"> {name} {child.state.name} {child.restarts}")
        await bot.wait_ready("second_time_not", 20)
        get_channel("second_time_not-active").send("die")
        second = bot.processes["second_time_not"]
        await until(lambda: second.restarts >= 3, "it is tried again and again")
        bot.stop_process("second_time_not")
        await error_of("second_time_not")
        bot.stop_process("never")
        await error_of("never")

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        said = spoken(bot)
        assert (
            said[0]
            == "never ProcessTimeout: process never was not ready within 0.2 s: it is starting"
        )
        assert said[1].startswith("nobody ProcessNotFound: ")
        assert said[2] == (
            "raises ProcessStartError: process raises is failed and not about to start: "
            "exited with code 1"
        )
        assert said[3].startswith("missing ProcessStartError: process missing is failed")
        assert "No module named 'no_such_module'" in said[3]
        assert said[4] == "could_not FAILED 0"
        assert said[5] == "returns STOPPED 2"
        assert said[6].startswith(
            "second_time_not ProcessStartError: process second_time_not is stopped"
        )
        assert said[7].startswith("never ProcessStartError: process never is stopped")
        for name in ("raises", "could_not", "missing"):
            line = f"错误.*process {name} exited with code .*it could not start and is not started"
            hint = f"again: mend it, then call restart_process\\('{name}'\\)"
            assert len(bot.found(f"{line} {hint}")) == 1
        assert bot.found("错误.*process second_time_not exited with code 7.*is started again in")
        assert bot.found("错误.*second_time_not exited with code 1.*is tried again in 0.02 s$")


def test_a_child_that_is_given_up(tmp_path: Path, environment: Environment) -> None:
    """One loud line; the others and main go on; a restart by hand gives it a fresh start."""
    program(
        tmp_path,
        """
def crashes():
    raise ValueError("again")


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("fine", waits)
    bot.add_process("crashes", crashes, restart=RestartPolicy(
        max_restarts=2, backoff=0.01, max_backoff=0.01))

    async def act():
        child, fine = bot.processes["crashes"], bot.processes["fine"]
        await until(lambda: child.state is ProcessState.FAILED, "it is given up")
        assert child.restarts == 2 and fine.state is ProcessState.RUNNING
        bot.restart_process("crashes")
        await until(lambda: child.restarts == 5, "three more")
        await until(lambda: child.state is ProcessState.FAILED, "it is given up again")
        assert fine.restarts == 0 and fine.state is ProcessState.RUNNING

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        loud = bot.found("严重.*process crashes exited with code 1.*started again 2 times in 60 s")
        assert len(loud) == 2
        assert len(bot.found("ValueError: again")) == 6


def test_restarts_that_children_ask_for(tmp_path: Path, environment: Environment) -> None:
    """Of themselves, of another, of nobody; in the main process it is an error."""
    program(
        tmp_path,
        """
def asks():
    for data in active_channel:
        request_restart(*data)


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("asks", asks)
    bot.add_process("other", waits)
    channel = get_channel("asks-active")

    async def act():
        for process in bot.processes:
            await bot.wait_ready(process, 20)
        for call in (request_restart, ready):
            try:
                call()
            except RuntimeError as error:
                say(f"> {type(error).__name__}: {error}")
        channel.send(("other",))
        await until(lambda: bot.processes["other"].restarts == 1, "the other")
        channel.send(("nobody",))
        channel.send(())
        await until(lambda: bot.processes["asks"].restarts == 1, "itself")
        await bot.wait_ready("asks", 20)
        channel.send(("other",))
        await until(lambda: bot.processes["other"].restarts == 2, "the other, by its successor")

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        said = spoken(bot)
        assert len(said) == 2
        assert all(line.startswith("NotConnected: this is the main process") for line in said)
        assert bot.found(
            r"错误.*process asks has asked for a restart: no process is named 'nobody'"
        )
        assert len(bot.found("process asks has asked for a restart of other$")) == 2


@pytest.mark.parametrize("how", ["async def", "def"])
def test_hooks_that_never_end(tmp_path: Path, environment: Environment, how: str) -> None:
    """They hold up neither a restart nor the stop, and are named."""
    sleep = "await asyncio.sleep(1000)" if how == "async def" else "time.sleep(1000)"
    program(
        tmp_path,
        f"""
if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", waits)

    @bot.on_before_process_restart
    {how} restart(name):
        {sleep}

    @bot.on_before_process_shutdown
    {how} shutdown(name):
        {sleep}

    @bot.on_process_state
    {how} state(name, state):
        {sleep}

    @bot.on_before_process_shutdown
    def raises(name):
        raise ValueError("shown")

    async def act():
        await bot.wait_ready("w", 20)
        bot.restart_process("w")
        await until(lambda: bot.processes["w"].restarts, "a restart")
        await bot.wait_ready("w", 20)

    main(bot, act)
""",
    )
    with running(tmp_path, environment, LITEYUKI_STOP_TIMEOUT="4") as bot:
        went_well(bot)
        both = "on_before_process_restart and on_before_process_shutdown"
        assert bot.found(f"错误.*{both} hooks of process w did not end in time")
        assert bot.found(
            r"错误.*\] on_before_process_shutdown hooks of process w did not end in time"
        )
        assert bot.found("错误.*on_process_state hooks did not end in time")
        assert len(bot.found("process w exited with code 0")) == 2
        assert not bot.found("can't be ended")


_FAMILY = """
FAMILY = '''
import signal, subprocess, sys, time
if len(sys.argv) > 1:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
print("started", flush=True)
time.sleep(1000)
'''


def parent():
    for more in ([], ["stubborn"]):
        child = subprocess.Popen([sys.executable, "-c", FAMILY, *more], stdout=subprocess.PIPE)
        assert child.stdout.readline() == b"started\\n"
    active_channel.send("ready")
    if active_channel.receive() == "crash":
        os._exit(5)


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("parent", parent, restart=RestartPolicy(mode="never"))
    channel = get_channel("parent-active")

    @bot.on_after_start
    async def act():
        say(await channel.async_receive(20))
        await until(lambda: os.path.exists("go"), "a go")
        if "crash" in sys.argv:
            channel.send("crash")
        await until(lambda: bot.processes["parent"].exitcode is not None, "its end")
        say("ended", bot.processes["parent"].exitcode)

    bot.run()
"""


@unix
@pytest.mark.parametrize("how", ["crash", "stop", "second signal", "kill", "kill main"])
def test_what_a_child_has_started_ends_with_it(
    tmp_path: Path, environment: Environment, how: str
) -> None:
    """However the child ends; also what ignores SIGTERM, and what that has started."""
    program(tmp_path, _FAMILY)
    with running(tmp_path, environment, "bot.py", how) as bot:
        bot.wait_for_line("^ready$")
        family = bot.children()
        (child,) = (
            process
            for process in family
            if process.ppid() == bot.process.pid and "spawn_main" in " ".join(process.cmdline())
        )
        grandchildren = child.children(recursive=True)
        assert len(grandchildren) == 3
        (tmp_path / "go").touch()
        if how == "kill":
            child.kill()
        elif how == "kill main":
            bot.process.kill()
        elif how != "crash":
            bot.interrupt()
            if how == "second signal":
                bot.wait_for_line("LiteyukiBot stops")
                wait_until(lambda: not living([child]) or _interrupt_again(bot), "an end")
        wait_until(lambda: not living([child, *grandchildren]), f"all ended; {bot.output}")
        if how in ("crash", "kill"):
            code = {"crash": "5", "kill": "-9"}[how]
            bot.wait_for_line(f"^ended {code}$")
            assert bot.stop() == 0


def _interrupt_again(bot: Program) -> bool:
    # Signals within a tenth of a second count as one.
    if not bot.found("again: everything is ended at once"):
        bot.interrupt()
    return False


@pytest.mark.parametrize("when", ["running", "while it starts", "stopped by a signal meanwhile"])
def test_main_restarts_itself(tmp_path: Path, environment: Environment, when: str) -> None:
    """In place, with the same id and arguments; durable keys are there again, children new."""
    program(
        tmp_path,
        f"""
if __name__ == "__main__":
    os.chdir("elsewhere") if "elsewhere" in os.listdir() else None
    bot = LiteyukiBot()
    when = {when!r}
    bot.add_process("w", waits)

    @bot.on_before_start
    async def begin():
        life = await shared_memory.async_incr("life")
        await shared_memory.async_set("life", life, persist=True)
        say("life", life, os.getpid(), *sys.argv[1:])
        if when == "while it starts" and life == 1:
            bot.restart()

    @bot.on_after_start
    async def act():
        await bot.wait_ready("w", 20)
        life = shared_memory["life"]
        say("child", bot.processes["w"].pid)
        if life < 3:
            bot.restart()
        else:
            bot.stop()

    @bot.on_before_process_shutdown
    async def shutdown(name):
        if when == "stopped by a signal meanwhile":
            signal.raise_signal(signal.SIGINT)

    bot.run()
    say("run returned")
""",
    )
    settings = {"LITEYUKI_STORE_PATH": str(tmp_path / "store.db")}
    with running(tmp_path, environment, "bot.py", "an argument", **settings) as bot:
        assert bot.wait(60) == 0, bot.output
        lives = [match[1] for match in bot.found("^(life .*)")]
        if when == "stopped by a signal meanwhile":
            assert lives == [f"life 1 {bot.process.pid} an argument"]
        else:
            assert lives == [f"life {n} {bot.process.pid} an argument" for n in (1, 2, 3)]
            assert len(bot.found("LiteyukiBot stops: asked to restart$")) == 2
        pids = [match[1] for match in bot.found(r"^child (\d+)")]
        assert len(pids) == len(set(pids)) == {"running": 3, "while it starts": 2}.get(when, 1)
        assert len(bot.found("^run returned$")) == 1
        assert not bot.found("Traceback")


def test_stopped_before_they_are_up(tmp_path: Path, environment: Environment) -> None:
    """A stop meets a child at every step of its start; what is asked for last holds."""
    program(
        tmp_path,
        """
def crashes():
    os._exit(9)


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", waits, restart=QUICK)
    bot.add_process("backs-off", crashes, restart=RestartPolicy(backoff=100, max_backoff=100))

    async def act():
        w, backs_off = bot.processes["w"], bot.processes["backs-off"]
        for turns in range(16):
            bot.start_process("w")
            for _ in range(turns * turns):
                await asyncio.sleep(0)
            bot.stop_process("w")
            if turns % 4 == 3:
                bot.start_process("w")
                await bot.wait_ready("w", 20)
                bot.stop_process("w")
            await until(lambda: w.state is ProcessState.STOPPED, f"a stop after {turns} turns")
        await until(lambda: backs_off.state is ProcessState.BACKOFF, "it backs off")
        bot.stop_process("backs-off")
        assert backs_off.state is ProcessState.STOPPED
        bot.start_process("backs-off")
        await until(lambda: backs_off.state is ProcessState.BACKOFF, "it backs off again")
        bot.restart_process("backs-off")  # At once, not after the backoff.
        await until(lambda: backs_off.restarts == 1, "a restart")

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert not bot.found("can't be|Traceback|has not stopped")


def test_nothing_is_left(tmp_path: Path, environment: Environment) -> None:
    """Restarts leave no process, thread or file descriptor behind in main."""
    program(
        tmp_path,
        """
def brief():
    active_channel.send(os.getpid())


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("brief", brief, restart=RestartPolicy(
        mode="always", max_restarts=1000, backoff=0.0, max_backoff=0.0))

    def held():
        import psutil
        me = psutil.Process()
        return me.num_fds() if hasattr(me, "num_fds") else 0, threading.active_count()

    async def act():
        brief = bot.processes["brief"]
        await until(lambda: brief.restarts == 5, "a few")
        before = held()
        await until(lambda: brief.restarts == 15, "many")
        await until(lambda: held() <= before, f"no more than {before}")
        say("> held", *held(), "before", *before)

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert len(spoken(bot)) == 1


def test_what_it_does_for_a_target_is_not_left_half_done(
    tmp_path: Path, environment: Environment
) -> None:
    """A child is asked to stop at any moment of what this package does on its main thread."""
    program(
        tmp_path,
        """
def busy():
    for number in range(1_000_000_000):
        channel = Channel()
        active_channel.send(number)
        shared_memory["number"] = number
        channel.close()


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("busy", busy)
    got = []
    get_channel("busy-active").on_receive(ordered=True)(got.append)

    async def act():
        busy = bot.processes["busy"]
        for turn in range(12):
            await bot.wait_ready("busy", 20)
            before = len(got)
            await until(lambda: len(got) > before + turn, "it sends")
            bot.restart_process("busy")
            await until(lambda: busy.restarts > turn, "it is started again")
        await bot.wait_ready("busy", 20)

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert len(bot.found("process busy exited with code 0; it is started again")) == 12
        assert not bot.found("Traceback|has not stopped|错误"), bot.output


def test_it_is_not_interrupted_before_its_target(tmp_path: Path, environment: Environment) -> None:
    """A child that is asked to stop while it makes itself ready for its target ends after that."""
    program(
        tmp_path,
        """
if __name__ == "__mp_main__":
    from liteyuki_core.comm.context import Context

    get = Context.get

    def slowly(self, name):
        say("> begins")
        time.sleep(0.5)
        say("> ends")
        return get(self, name)

    Context.get = slowly


if __name__ == "__main__":
    bot = LiteyukiBot()
    bot.add_process("w", waits)
    bot.run()
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait_for_line("begins$")
        assert bot.stop() == 0
        assert bot.found("process w exited with code 0$"), bot.output
        assert len(bot.found("> begins$")) == len(bot.found("> ends$")) == 2, bot.output
        assert not bot.found("Traceback"), bot.output


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors that can be limited")
def test_no_descriptors_left_to_start_a_child(tmp_path: Path, environment: Environment) -> None:
    """At whichever step they run out: it has failed with a line, and nothing else has."""
    program(
        tmp_path,
        """
def echo():
    for data in active_channel:
        active_channel.send(data)


if __name__ == "__main__":
    import gc
    import resource

    import psutil

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, most))
    bot = LiteyukiBot()
    bot.add_process("old", echo)
    OVER = (ProcessState.FAILED, ProcessState.RUNNING)

    async def answers(name, data):
        channel = get_channel(f"{name}-active")
        channel.send(data)
        assert await channel.async_receive(20) == data

    def held():
        gc.collect()  # multiprocessing leaves a pipe of its own to it.
        return psutil.Process().num_fds()

    async def act():
        await bot.wait_ready("old", 20)
        await answers("old", "before")
        before = held()
        bot.add_process("new", echo)
        new = bot.processes["new"]
        spare = failures = 0
        while new.state is not ProcessState.RUNNING:
            taken = []
            try:
                while True:
                    taken.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                for file in taken[:spare]:
                    os.close(file)
                del taken[:spare]
            bot.start_process("new")
            await until(lambda: new.state in OVER, lambda: f"{new.state} with {spare}")
            for file in taken:
                os.close(file)
            if new.state is ProcessState.FAILED:
                failures += 1
                await until(lambda: held() <= before, lambda: f"{held()}, {before} before")
            spare += 1
        say(f"{failures} failures")
        await answers("old", "after")
        await answers("new", "at last")

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        failures = int(bot.wait_for_line(r"^(\d+) failures$")[1])
        assert failures > 5
        assert len(bot.found(r"错误\] process new can't be started: OSError")) == failures
        assert not bot.found("Traceback|is broken|process old exited with code [1-9]")


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors that can be limited")
def test_a_successor_that_cannot_be_spawned_is_tried_again(
    tmp_path: Path, environment: Environment
) -> None:
    """What a child that ran once lacks for its next process may come back; it is not given up."""
    program(
        tmp_path,
        """
def echo():
    for data in active_channel:
        active_channel.send(data)


if __name__ == "__main__":
    import resource

    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    bot = LiteyukiBot()
    bot.add_process("echo", echo, restart=QUICK)

    async def act():
        await bot.wait_ready("echo", 20)
        child = bot.processes["echo"]
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, most))
        try:
            bot.restart_process("echo")
            await until(lambda: child.state is ProcessState.BACKOFF, lambda: f"{child.state}")
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, most))
        await bot.wait_ready("echo", 20)
        channel = get_channel("echo-active")
        channel.send("hello")
        assert await channel.async_receive(20) == "hello"

    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        went_well(bot)
        assert bot.found(r"process echo can't be started: OSError.*tried again in 0\.01 s")
        assert not bot.found("Traceback|is broken")

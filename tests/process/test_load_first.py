"""A child's next process loads while the present one goes on, and then takes its place.

Tests process/successor.py and process/child/turn.py.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.children import acting
from tests.program import Environment, Program, running, write_files

BOT = """
    import asyncio
    import os

    from liteyuki_core import LiteyukiBot, get_channel
    from liteyuki_core.process import RestartPolicy

    if __name__ == "__main__":
        bot = LiteyukiBot()
        bot.add_process("child", "work:serve", restart=RestartPolicy(backoff=0.01))

        @bot.on_after_start
        async def send():
            channel = get_channel("child-active")
            number = 0
            while True:
                await channel.async_send(number)
                number += 1
                if os.path.exists("restart"):
                    os.unlink("restart")
                    bot.restart_process("child", load_first=True)
                await asyncio.sleep(0.002)

        bot.run()
"""

WORK = """
    import os
    import time

    from liteyuki_core import Channel
    from liteyuki_core.comm import active_channel, set_channel
    from liteyuki_core.process import calls_loaded, loaded
    from tests.children.acting import say

    say("imports", os.getpid())
    while not os.path.exists("go"):
        time.sleep(0.005)

    def serve():
        say("begins", os.getpid())
        for number in active_channel:
            say("took", number, os.getpid())
"""

HELD = """
    import ctypes
    import os
    import sys

    from liteyuki_core.comm import active_channel
    from tests.children.acting import say

    say("imports", os.getpid())
    # It keeps the interpreter's lock, so nothing that comes is read before it has loaded.
    sys.setswitchinterval(100)
    ctypes.PyDLL(None).open(b"hold", os.O_RDONLY)

    def serve():
        sys.setswitchinterval(0.005)
        for number in active_channel:
            say("took", number, os.getpid())
"""

GOES_ON = "process child goes on as it was: its successor was given up, because "


class Loading:
    """A bot whose child has begun, and whose next process waits in its import."""

    def __init__(self, folder: Path, program: Program) -> None:
        self.folder = folder
        self.program = program
        self.first = int(program.wait_for_line(r"begins (\d+)")[1])
        program.wait_for_line("took 10 ")
        (folder / "go").unlink()

    def restart(self, *, imports: int = 2) -> int:
        """Restart the child; return the pid of the process that loads."""
        (self.folder / "restart").touch()
        return int(self.program.wait_for_line(r"imports (\d+)", imports)[1])

    def go(self) -> None:
        """Let what loads have loaded."""
        (self.folder / "go").touch()

    def goes_on(self, pid: int) -> None:
        """Wait until a process has taken a few more messages."""
        taken = len(self.program.found(rf"took \d+ {pid}"))
        self.program.wait_for_line(rf"took \d+ {pid}", taken + 20)

    def stop(self) -> None:
        """Stop, and look at all that was taken: each message once, in order, nothing lost."""
        assert self.program.stop() == 0
        numbers = [int(match[1]) for match in self.program.found(r"took (\d+)")]
        assert numbers == list(range(len(numbers)))
        assert not self.program.found("CRITICAL|严重")


@pytest.fixture
def loading(tmp_path: Path, environment: Environment) -> Iterator[Loading]:
    """Such a bot."""
    write_files(tmp_path, {"bot.py": BOT, "work.py": WORK, "go": ""})
    with running(tmp_path, environment) as program:
        yield Loading(tmp_path, program)


def test_it_goes_on_until_its_successor_has_loaded(loading: Loading) -> None:
    """Then it is stopped, and its messages go to the successor, each once and in order."""
    second = loading.restart()
    loading.goes_on(loading.first)
    assert not loading.program.found("is to stop")
    loading.go()
    loading.goes_on(second)
    assert not psutil.pid_exists(loading.first)
    assert [match[1] for match in loading.program.found(r"imports (\d+)")] == [
        str(loading.first),
        str(second),
    ]
    loading.program.wait_for_line("process child is ready", 2)
    loading.stop()


def test_one_that_can_not_be_loaded(loading: Loading) -> None:
    """The log has the error, and the present one goes on. What is mended then takes over."""
    broken = WORK.replace("def serve", "no_such_name\n\n    def serve")
    write_files(loading.folder, {"work.py": broken, "go": ""})
    second = loading.restart()
    loading.program.wait_for_line(GOES_ON + "work:serve can't be imported: NameError")
    assert loading.program.found("^(child .*)?NameError: name 'no_such_name' is not defined")
    loading.program.wait_until(lambda: not psutil.pid_exists(second), "it is gone")
    loading.goes_on(loading.first)
    write_files(loading.folder, {"work.py": WORK})
    loading.goes_on(loading.restart(imports=3))
    loading.stop()


def test_one_that_dies(loading: Loading) -> None:
    """The present one does not notice."""
    second = loading.restart()
    acting.kill(second)
    loading.program.wait_for_line(GOES_ON + "it was ended by signal 9")
    loading.goes_on(loading.first)
    loading.stop()


def test_the_present_one_dies_meanwhile(loading: Loading) -> None:
    """The one that loads takes its place, however far it is."""
    second = loading.restart()
    loading.program.wait_for_line(rf"its successor loads, while it goes on \(pid {second}\)")
    acting.kill(loading.first)
    loading.program.wait_for_line("process child was ended by signal 9")
    loading.go()
    loading.program.wait_for_line(rf"took \d+ {second}", 20)
    assert len(loading.program.found("imports ")) == 2
    assert loading.program.stop() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes in the file system")
def test_it_has_loaded_at_the_moment_of_its_turn(loading: Loading) -> None:
    """What it says of that crosses what it is told. It takes over."""
    os.mkfifo(loading.folder / "hold")
    write_files(loading.folder, {"work.py": HELD})
    second = loading.restart()
    acting.kill(loading.first)
    loading.program.wait_for_line(rf"process child started \(pid {second}\)")
    os.close(os.open(loading.folder / "hold", os.O_WRONLY))
    loading.goes_on(second)
    assert not loading.program.found("is ended|signal 15")
    assert loading.program.stop() == 0


def test_a_restart_while_one_loads(loading: Loading) -> None:
    """It is given up for one that loads what there is now."""
    second = loading.restart()
    third = loading.restart(imports=3)
    loading.program.wait_until(lambda: not psutil.pid_exists(second), "it is gone")
    loading.go()
    loading.goes_on(third)
    assert not loading.program.found(f"begins {second}")
    loading.stop()


def test_a_stop_while_one_loads(loading: Loading) -> None:
    """Nothing is left of it."""
    second = loading.restart()
    loading.stop()
    assert not psutil.pid_exists(second)
    assert not loading.program.found(f"begins {second}|goes on as it was")


def test_one_that_needs_a_channel_to_load(loading: Loading) -> None:
    """It takes over at that moment, for it could not load any further before."""
    named = WORK.replace("def serve", 'set_channel("named", Channel())\n\n    def serve')
    write_files(loading.folder, {"work.py": named, "go": ""})
    second = loading.restart()
    loading.goes_on(second)
    third = loading.restart(imports=3)  # The present one holds that name.
    loading.goes_on(third)
    loading.stop()


def test_a_target_that_says_when_it_has_loaded(loading: Loading) -> None:
    """It runs until then beside the present one. In a process that replaces none, it runs on."""
    target = WORK.replace("def serve():", "@calls_loaded\n    def serve():\n        load()")
    load = """
    def load():
        say("loads", os.getpid())
        while not os.path.exists("loaded"):
            time.sleep(0.005)
        loaded()
    """
    write_files(loading.folder, {"work.py": target + load, "go": ""})
    second = loading.restart()
    loading.program.wait_for_line(f"loads {second}")
    loading.goes_on(loading.first)
    (loading.folder / "loaded").touch()
    loading.goes_on(second)
    os.kill(second, acting.KILL)
    loading.program.wait_for_line("begins ", 3)
    assert loading.program.stop() == 0


def test_one_that_is_not_ready_is_restarted_as_usual(loading: Loading) -> None:
    """There is nothing that could go on."""
    broken = WORK.replace("def serve", "no_such_name\n\n    def serve")
    write_files(loading.folder, {"work.py": broken, "go": ""})
    acting.kill(loading.first)
    loading.program.wait_for_line("process child exited with code 1: .* is tried again")
    write_files(loading.folder, {"work.py": WORK})
    third = loading.restart(imports=3)
    loading.program.wait_for_line(rf"took \d+ {third}", 20)
    assert loading.program.stop() == 0

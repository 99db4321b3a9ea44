"""The guard of a program: it starts it, passes on signals, and leaves nobody behind.

Tests process/program/direct.py, process/program/guard.py, process/program/guarded.py,
process/program/input.py, process/program/tree.py.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from liteyuki_core.errors import ProcessStartError
from liteyuki_core.process.program.guarded import Guarded
from liteyuki_core.process.program.spec import Line, Program, checked
from liteyuki_core.process.program.tree import Tree, started
from tests.conftest import DEADLINE, ROOT, wait_until
from tests.program import living, program_command, unix

pytestmark = unix


def program(*argv: str, **changed: Any) -> Program:
    """Return a program that runs in the folder of this project."""
    usual: dict[str, Any] = {
        "cwd": ROOT,
        "env": None,
        "ready": None,
        "ready_timeout": 60,
        "stop": "SIGTERM",
        "encoding": "utf-8",
        "terminal": False,
    }
    return checked("napcat", list(argv), **{**usual, **changed})


class Running:
    """A program under a guard, or without one, and the thread that waits for it."""

    def __init__(self, found: Tree, output: int) -> None:
        self.tree = found
        self.ended = threading.Event()
        self.over = threading.Event()
        self.code: int | None = None
        self._output = os.fdopen(output, encoding="utf-8")
        self._waiting = threading.Thread(target=self._wait)
        self._waiting.start()

    def _wait(self) -> None:
        self.code = self.tree.wait(self.ended.set)
        self.over.set()

    def line(self) -> str:
        """Return the next line that it writes."""
        return self._output.readline().rstrip("\n")

    def members(self, count: int) -> list[psutil.Process]:
        """Wait until so many have said that they are there."""
        return [psutil.Process(int(self.line().removeprefix("member "))) for _ in range(count)]

    def close(self) -> None:
        """End what is left."""
        self.tree.kill()
        self._waiting.join(DEADLINE)
        self.tree.close()
        self._output.close()


@contextmanager
def running(*argv: str, **changed: Any) -> Iterator[Running]:
    """Run a program."""
    output, theirs = os.pipe()
    try:
        found = started(program(*argv, **changed), theirs)
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(theirs)
    it = Running(found, output)
    try:
        yield it
    finally:
        it.close()


@pytest.fixture(params=["guarded", "direct"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With a guard, and as in a frozen program, which is as on Windows but for the job."""
    if request.param == "direct":
        monkeypatch.setattr(sys, "frozen", True, raising=False)
    return str(request.param)


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", -9), ("kill -TERM $$", -15), ("exit 143", 143)],
)
def test_the_exit_code(way: str, command: str, code: int) -> None:
    """Is the program's own."""
    with running("sh", "-c", command) as it:
        assert it.over.wait(DEADLINE)
        assert it.ended.is_set()
        assert it.code == code


def test_what_the_program_is_given(way: str, tmp_path: Path) -> None:
    """Its words, its folder, its environment, an empty input; and it leads a group of its own."""
    script = 'printf "%s|" "$@"; pwd; echo "$MY"; ps -o pid=,pgid= -p $$; cat; echo end'
    words = ["a b", "", "中 '\"$", "-"]
    changed: dict[str, Any] = {"cwd": tmp_path, "env": {"MY": "own\nvalue"}}
    with running("sh", "-c", script, "sh", *words, **changed) as it:
        assert it.line() == "|".join(words) + "|" + str(tmp_path)
        assert [it.line(), it.line()] == ["own", "value"]
        assert it.line().split() == [str(it.tree.pid)] * 2
        assert it.line() == "end"
        assert it.over.wait(DEADLINE)


def test_signals_of_the_program_are_as_usual(way: str) -> None:
    """None is ignored or blocked, whatever the guard and Python do with theirs.

    But for those that whoever runs this test has ignored, as a shell does for its background.
    """
    if not os.path.exists("/proc/self/status"):
        pytest.skip("this system does not show them")
    with running("cat", "/proc/self/status") as it:
        assert it.over.wait(DEADLINE)
        text = it._output.read()
    theirs, ours = masks_of(text), masks_of(Path("/proc/self/status").read_text("utf-8"))
    pythons = sum(1 << (number - 1) for number in (signal.SIGPIPE, signal.SIGXFSZ))
    assert theirs["SigIgn"] & ~(ours["SigIgn"] & ~pythons) == 0
    assert theirs["SigBlk"] == 0


def masks_of(status: str) -> dict[str, int]:
    """Return the masks of signals in a process's /proc/PID/status."""
    lines = [line.split(":\t") for line in status.splitlines() if line.startswith("Sig")]
    return {name: int(mask.partition("/")[0], 16) for name, mask in lines}


def test_the_program_has_no_files_of_the_bot(way: str) -> None:
    """Nothing is open in it but its standard streams."""
    if not os.path.exists("/proc/self/fd"):
        pytest.skip("this system does not show them")
    numbers = " ".join(map(str, range(100)))
    script = f"for n in {numbers}; do [ -e /proc/$$/fd/$n ] && echo $n; done; echo end"
    with running("sh", "-c", script) as it:
        assert [it.line() for _ in range(4)] == ["0", "1", "2", "end"]
        assert it.over.wait(DEADLINE)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_a_signal_goes_to_the_group(way: str, name: str) -> None:
    """So a shell and what it runs are both told."""
    number = signal.Signals[name]
    with running("sh", "-c", "sleep 1000 & echo member $!; wait; sleep 1000") as it:
        (member,) = it.members(1)
        it.tree.signal(number)
        assert it.over.wait(DEADLINE)
        assert it.code == -number
        wait_until(lambda: not living([member]))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["no-such-program-here"], "there is no executable 'no-such-program-here'"),
        (["./nowhere/run.sh"], "there is no executable './nowhere/run.sh'"),
        (["/etc/passwd"], "'/etc/passwd' is not an executable file"),
        (["/"], "'/' is not an executable file"),
    ],
)
def test_what_cannot_be_started(way: str, argv: list[str], said: str) -> None:
    """Says why, and nothing is left of the try."""
    with pytest.raises(ProcessStartError, match=f"^{said}") as raised, running(*argv):
        pass
    assert raised.value.process == "napcat"


def test_what_is_no_program(way: str, tmp_path: Path) -> None:
    """A script without a first line that names its interpreter."""
    script = tmp_path / "run"
    for text, said in (
        ("echo hi\n", "'./run' is no program .* name its interpreter first"),
        ("#!/no/such/interpreter\n", "'./run' is a script, and there is no interpreter"),
        ("#!/bin/sh\r\necho hi\r\n", "'./run' is a script, .* ends as on Windows"),
    ):
        script.write_bytes(text.encode())
        script.chmod(0o755)
        with pytest.raises(ProcessStartError, match=said), running("./run", cwd=tmp_path):
            pass


def test_a_folder_that_has_gone(way: str, tmp_path: Path) -> None:
    """Between adding and starting."""
    (tmp_path / "gone").mkdir()
    asked = program("ls", cwd=tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ProcessStartError, match=r"there is no folder .*gone"):
        started(asked, None)


# ------------------------------------------------------------- nobody is left


def members_of(it: Running, detached: bool) -> list[psutil.Process]:
    """Return the four of the family, one of which may have left the group."""
    members = it.members(4)
    outside = [m for m in members if os.getpgid(m.pid) != it.tree.pid]
    assert len(outside) == detached
    return members


linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a guard adopt others")

ENDS = "ends", "killed", "kill", "main dies"


@pytest.mark.parametrize(
    ("end", "detached"),
    [
        *[(end, False) for end in (*ENDS, "guard killed")],
        *[pytest.param(end, True, marks=linux) for end in ENDS],
    ],
)
def test_nobody_is_left(end: str, detached: bool) -> None:
    """However it ends, and though none of them ends when asked, and one has left the group."""
    arguments = [*(["ends"] if end == "ends" else []), *(["detached"] if detached else [])]
    with running(*program_command("executables:family", *arguments)) as it:
        members = members_of(it, detached)
        if end == "killed":
            os.kill(it.tree.pid, signal.SIGKILL)
        elif end == "kill":
            it.tree.kill()
        elif end == "guard killed":
            os.kill(it.tree.root, signal.SIGKILL)
        elif end == "main dies":
            assert isinstance(it.tree, Guarded)
            os.close(it.tree._control)
            it.tree._control = os.open(os.devnull, os.O_WRONLY)
        assert it.over.wait(DEADLINE)
        wait_until(lambda: not living(members), "an end of all")
        expected = {"ends": 7, "guard killed": None}
        assert it.code == expected.get(end, -9)


def test_what_a_program_leaves_is_asked_first() -> None:
    """It has a moment to end in order."""
    child = "trap 'echo in order; exit' TERM; echo ready; while :; do sleep 0.1; done"
    with running("sh", "-c", f'sh -c "{child}" & sleep 0.5') as it:
        assert it.line() == "ready"
        # A shell also tells of the end of its sleep.
        wait_until(lambda: it.line() == "in order")
        assert it.over.wait(DEADLINE)


@linux
def test_who_is_adopted_is_reaped() -> None:
    """What a program starts and forgets becomes no zombie while the program runs."""
    with running("sh", "-c", "(true & true & true &); echo done; sleep 1000") as it:
        assert it.line() == "done"
        guard = psutil.Process(it.tree.root)
        wait_until(lambda: [child.pid for child in guard.children()] == [it.tree.pid])


@linux
def test_a_guard_does_nothing_meanwhile() -> None:
    """It is not woken once."""
    with running("sh", "-c", "echo ready; sleep 1000") as it:
        assert it.line() == "ready"
        guard = psutil.Process(it.tree.root)
        before = wait_until(lambda: stable(guard))
        assert guard.num_ctx_switches() == before
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["sleep", "1000"], timeout=2)
        assert guard.num_ctx_switches().voluntary == before.voluntary


def stable(process: psutil.Process) -> Any:
    """Return its counts once they no longer change."""
    before = process.num_ctx_switches()
    threading.Event().wait(0.2)
    return before if process.num_ctx_switches() == before else None


def test_a_guard_is_let_alone_by_the_terminal() -> None:
    """Signals that a terminal or a service sends to everybody end no guard."""
    with running("sh", "-c", "trap '' INT TERM HUP QUIT; echo ready; read x; sleep 1000") as it:
        assert it.line() == "ready"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            os.kill(it.tree.root, number)
        it.tree.kill()
        assert it.over.wait(DEADLINE)
        assert it.code == -9


def test_standard_input(way: str) -> None:
    """Lines come in the program's encoding; then its end."""
    with running("sh", "-c", "read x; echo got $x; cat; echo end", stop=Line("退出")) as it:
        it.tree.write("退出")
        assert it.line() == "got 退出"
        it.tree.write(None)
        assert it.line() == "end"
        assert it.over.wait(DEADLINE)

"""Programs as children: with real ones, from their start to the end of all that they have started.

Tests process/living.py, process/program/course.py, process/program/life.py.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
from contextlib import AbstractContextManager
from pathlib import Path

import psutil
import pytest

from tests.conftest import DEADLINE, free_port, in_full, wait_until
from tests.program import (
    Environment,
    Program,
    living,
    program_command,
    running,
    running_program,
    spoken,
    unix,
    went_well,
    write_files,
)

linux = pytest.mark.skipif(sys.platform != "linux", reason="counts as Linux has them")


def bot(
    folder: Path, environment: Environment, name: str, *arguments: str, **more: str
) -> AbstractContextManager[Program]:
    """Run a bot of `tests/children/programs.py`."""
    return running_program(folder, environment, f"programs:{name}", *arguments, **more)


def wrote(program: Program, name: str, pattern: str) -> list[re.Match[str]]:
    """Return a match for each line of a program: after its name, or under a line before it."""
    shown = re.compile(rf"(?:{name} *\| | +){pattern}")
    return [found for line in list(program.named) if (found := shown.fullmatch(line))]


# ------------------------------------------------------------- as any child


@unix
def test_states_hooks_and_restarts(tmp_path: Path, environment: Environment) -> None:
    """They are those of any child. A program has no channels, and no exit code means anything."""
    with bot(tmp_path, environment, "lives") as program:
        went_well(program)
        said = spoken(program)
        assert "no channels" in said
        assert "crashes failed 7 5" in said
        assert "exits stopped 0 0" in said
        assert "three failed 3 0" in said
        crashed = "starting running backoff starting running"
        asked = "stopping starting running stopping stopped starting running"
        assert f"waits {crashed} {asked}" in said
        begun = " ".join(["starting running backoff"] * 5)
        assert f"crashes {begun} starting running failed" in said
        (called,) = [line for line in said if line.startswith("called")]
        assert called == "called " + ", ".join(
            f"{kind} waits"
            for kind in (
                "on_before_process_restart",
                "on_after_restart",
                "on_before_process_restart",
                "on_before_process_shutdown",
                "on_after_restart",
                "on_before_process_shutdown",
            )
        )
        assert wrote(program, "waits", r"waits a b --token=\*\*\*"), program.output
        assert wrote(program, "late", "waits late")
        assert program.found(r"process three exited with code 3; its own lines above say why")
        assert not program.found("Traceback|is left|s3cret"), program.output


@unix
def test_what_cannot_be_started(tmp_path: Path, environment: Environment) -> None:
    """Has failed, as a child that fails before it is ready; the others run."""
    with bot(tmp_path, environment, "starts") as program:
        went_well(program)
        said = spoken(program)
        assert "missing starting failed" in said
        line = program.wait_for_line("process missing can't be started: ").string
        assert "there is no executable 'no-such-program-here': install it" in line
        assert "not started again: fix it, then call restart_process('missing')" in line
        (error,) = [text for text in said if text.startswith("error")]
        assert "no-such-program-here" in error


def test_ways_to_be_ready(tmp_path: Path, environment: Environment) -> None:
    """A line, a port, an answer of a real web server, or nothing but the start."""
    with bot(tmp_path, environment, "readies", str(free_port())) as program:
        went_well(program)
        for name in ("line", "port", "http", "started"):
            found = program.found(rf"process {name} is ready, ([\d.]+) s after")
            assert len(found) == 1, program.output
            assert float(found[0][1]) >= (0.3 if name == "line" else 0)
        assert wrote(program, "port", r'.*"GET / HTTP/1.1" 200.*')


@unix
def test_not_ready_in_time(tmp_path: Path, environment: Environment) -> None:
    """It is ended, and has failed before it was ready: tried again if it ever was ready."""
    with bot(tmp_path, environment, "not_ready") as program:
        went_well(program)
        said = spoken(program)
        assert "slow -15 0 starting failed" in said
        assert "deaf -9 0 starting failed" in said
        assert "ends 7 0 starting failed" in said
        once = "once starting running stopping starting backoff starting running"
        assert once in said, said
        line = program.found("process slow was ended")[0].string
        assert "it was not ready within 0.5 s: it has written no line that matches 'x'" in line
        assert program.found("process slow is ended, because it is not ready in time")
        assert not program.found("process stops is ended"), program.output


# ------------------------------------------------------------- stopping


@unix
@pytest.mark.parametrize("way", ["guarded", *in_full("frozen")])
def test_ways_to_stop(tmp_path: Path, environment: Environment, way: str) -> None:
    """A signal, a line, the end of input; who ends by none is killed in time."""
    with bot(tmp_path, environment, "stops", way, LITEYUKI_STOP_TIMEOUT="8") as program:
        went_well(program)
        codes = "codes int 0 term 0 line 0 close 0 deaf -15 stubborn -9"
        assert codes in spoken(program), program.output
        assert wrote(program, "int", "got signal SIGINT")
        assert wrote(program, "term", "got signal SIGTERM")
        assert wrote(program, "line", r"read 'quit\\n'")
        assert wrote(program, "close", "read ''")
        assert program.found("process deaf has not stopped: terminate")
        assert program.found("process stubborn has not stopped: kill")


@unix
def test_it_is_asked_once(tmp_path: Path, environment: Environment) -> None:
    """Also when the bot stops while the program does: to many a second signal means at once."""
    with bot(tmp_path, environment, "asked_twice") as program:
        went_well(program)
        assert spoken(program) == ["code 0"]


def members(program: Program, count: int = 4) -> list[psutil.Process]:
    """Return the members of a family by the lines that they write."""
    program.wait_for_line(r"member \d+", count)
    pids = [int(found[1]) for found in program.found(r"member (\d+)")]
    return [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]


@unix
@pytest.mark.parametrize(
    ("how", "way"),
    [
        ("stop", ""),
        pytest.param("stop", "frozen", marks=pytest.mark.long),
        pytest.param("ends", "", marks=pytest.mark.long),
        ("restart", ""),
    ],
)
def test_nobody_is_left(tmp_path: Path, environment: Environment, how: str, way: str) -> None:
    """Whether it is stopped, ends by itself or is restarted, all that it has started ends."""
    with bot(tmp_path, environment, "family", how, way, LITEYUKI_STOP_TIMEOUT="6") as program:
        found = members(program)
        went_well(program)
        if how != "restart":
            assert spoken(program) == ["ended " + ("7" if how == "ends" else "-9")]
        assert not living([*found, *members(program)])
        assert not program.found("is left"), program.output
        assert way or not program.found("can't be ended"), program.output


@unix
def test_nobody_is_left_when_main_is_killed(tmp_path: Path, environment: Environment) -> None:
    """Neither the program, nor its guard, nor whom it has started, though none ends when asked."""
    with bot(tmp_path, environment, "family", "wait") as program:
        found = members(program)
        started = program.children()
        assert len(started) >= 4
        program.process.kill()
        wait_until(lambda: not living([*found, *started]), "an end of all")


@unix
def test_nobody_is_left_when_main_is_ended_twice(tmp_path: Path, environment: Environment) -> None:
    """A second signal ends everything at once, programs too."""
    with bot(tmp_path, environment, "family", "wait") as program:
        found = members(program)
        program.interrupt()
        program.wait_for_line("process napcat is to stop")
        begun = time.monotonic()
        time.sleep(0.2)  # A signal that comes sooner is taken for an echo of the first.
        program.interrupt()
        program.wait()
        assert time.monotonic() - begun < 5
        wait_until(lambda: not living(found), "an end of all")


# ------------------------------------------------------------- output


@unix
def test_what_programs_write(tmp_path: Path, environment: Environment) -> None:
    """Pictures whole, secrets hidden, in their encoding, on the terminal and in the file."""
    log = tmp_path / "logs" / "bot.log"
    with bot(tmp_path, environment, "writes", LITEYUKI_LOG_FILE=str(log)) as program:
        program.wait_for_line("^in folder$", of="tells")
        program.wait_for_line("access_token")
        program.wait_for_line("half ", count=2)
        program.wait_for_line("up now")
        for line in ("扫码$", r"\\xff$", r"MINE set$", r"THEIRS None$", r"access_token=\*\*\*$"):
            program.wait_for_line(line)
        picture = "█▀▀▀▀▀█ ▄ █▀▀▀▀▀█\n█ ███ █ ▀ █ ███ █\n▀▀▀▀▀▀▀ ▀ ▀▀▀▀▀▀▀\n"
        program.wait_until(lambda: picture in program.output, "the picture is shown")
        assert wrote(program, "cat", "(half )+")
        (tmp_path / "seen").touch()
        went_well(program)
    kept = log.read_text(encoding="utf-8")
    assert "draws  | █▀▀▀▀▀█ ▄ █▀▀▀▀▀█\ndraws  | █ ███ █ ▀ █ ███ █\n" in kept
    assert "draws  | access_token=***\n" in kept
    assert "speaks | 扫码\nspeaks | \\xff\n" in kept
    assert "tells  | MINE set\n" in kept
    assert "looks  | up now\n" in kept
    assert "s3cret" not in kept + program.output


@unix
@pytest.mark.parametrize("megabytes", [25, pytest.param(100, marks=pytest.mark.long)])
def test_much_output(tmp_path: Path, environment: Environment, megabytes: int) -> None:
    """It holds up neither main's loop nor the program, and is not kept."""
    environment["PYTHONPATH"] = os.fspath(Path(__file__).parents[3])
    errors = tmp_path / "errors"
    command = " ".join(program_command("programs:floods", str(megabytes)))
    code = f"exec {command} 2> {errors} > /dev/null"
    begun = time.monotonic()
    with running(tmp_path, environment, "-c", code, interpreter="/bin/sh") as program:
        assert program.wait(120) == 0
    text = errors.read_text()
    (grown,) = re.findall(r"> grown by (\d+)", text)
    (late,) = re.findall(r"> late by ([\d.]+)", text)
    assert int(grown) < min(50, megabytes - 5), text
    assert float(late) < 1, text
    assert time.monotonic() - begun < 100


# ------------------------------------------------------------- real programs


def test_a_web_server(tmp_path: Path, environment: Environment) -> None:
    """Python's own, which serves a file of the folder that it was given."""
    import httpx

    port = free_port()
    write_files(
        tmp_path,
        {
            "site/index.html": "it serves",
            "bot.py": f"""
                import sys
                from liteyuki_core import LiteyukiBot
                from liteyuki_core.process import HttpOk

                if __name__ == "__main__":
                    bot = LiteyukiBot()
                    server = [sys.executable, "-m", "http.server", "{port}", "-b", "127.0.0.1"]
                    ready = HttpOk("http://127.0.0.1:{port}/index.html")
                    bot.add_program("web", server, cwd="site", ready=ready, stop="SIGINT")
                    bot.run()
            """,
        },
    )
    with running(tmp_path, environment) as program:
        program.wait_for_line("process web is ready")
        answer = httpx.get(f"http://127.0.0.1:{port}/index.html", trust_env=False)
        assert answer.text == "it serves"
        assert program.stop() == 0
        assert program.found("LiteyukiBot has stopped")
        assert not program.found("has not stopped"), program.output


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_a_script_of_node(tmp_path: Path, environment: Environment) -> None:
    """It has a worker of its own, as NapCat has, and reads commands."""
    write_files(
        tmp_path,
        {
            "index.js": """
                const { fork } = require("node:child_process");
                if (process.argv[2] === "worker") {
                    process.on("SIGTERM", () => console.log("worker goes on"));
                    setInterval(() => {}, 1000);
                    process.send("up");
                } else {
                    const worker = fork(__filename, ["worker"], { detached: true });
                    worker.on("message", () => console.log("worker", worker.pid, "listens"));
                    require("node:readline").createInterface({ input: process.stdin })
                        .on("line", (line) => { console.log("told", line); process.exit(0); });
                }
            """,
            "bot.py": """
                from liteyuki_core import LiteyukiBot
                from liteyuki_core.process import Line, LogLine

                if __name__ == "__main__":
                    bot = LiteyukiBot()
                    ready = LogLine("listens$")
                    bot.add_program("node", ["node", "index.js"], ready=ready, stop=Line("quit"))
                    bot.run()
            """,
        },
    )
    with running(tmp_path, environment) as program:
        worker = psutil.Process(int(program.wait_for_line(r"worker (\d+) listens", timeout=60)[1]))
        program.wait_for_line("process node is ready")
        assert program.stop() == 0
        assert program.found("told quit"), program.output
        assert program.found("process node exited with code 0"), program.output
        if sys.platform == "linux":
            assert not living([worker])


@unix
@pytest.mark.parametrize("way", ["guarded", "frozen", "interrupt"])
def test_the_terminal(tmp_path: Path, environment: Environment, way: str) -> None:
    """One program asks there and is answered; another one can't have it. Ctrl+C stops all."""
    import pty

    command = program_command("programs:terminal", way)
    path = os.fspath(Path(__file__).parents[3])
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.execve(command[0], command, {**environment, "PYTHONPATH": path})
    seen = b""
    try:

        def shown(what: bytes) -> None:
            nonlocal seen
            deadline = time.monotonic() + DEADLINE
            while what not in seen:
                assert time.monotonic() < deadline, seen
                try:
                    seen += os.read(terminal, 1000)
                except OSError:  # So Linux says that all have closed it.
                    pytest.fail(f"no {what!r}: {seen!r}")

        shown(b"which code?")
        assert b"terminal True True" in seen
        if way == "interrupt":
            os.write(terminal, b"\x03")
            shown(b"LiteyukiBot has stopped")
            assert b"restart" not in seen
        else:
            os.write(terminal, b"7\n")
            shown(b"all is well")
            assert b"> code 7" in seen
        assert b"terminal=True is for one program, and asks has the terminal" in seen
        wait_until(lambda: os.waitpid(pid, os.WNOHANG)[0])
    finally:
        os.close(terminal)
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


# ------------------------------------------------------------- files, idleness


@unix
def test_files_that_are_watched(tmp_path: Path, environment: Environment) -> None:
    """A script of Node in a watched folder restarts its program; data and others do not."""
    with bot(tmp_path, environment, "reloads", LITEYUKI_RELOAD="true") as program:
        went_well(program)
        assert spoken(program) == ["restarts 3 0"]
        assert program.found("process node is restarted: app/index.js has changed")


@linux
def test_a_program_that_does_nothing_costs_nothing(
    tmp_path: Path, environment: Environment
) -> None:
    """Neither main nor its guard is woken."""

    def switches(pid: int) -> int:
        tasks = Path(f"/proc/{pid}/task").glob("*/status")
        found = [re.findall(r"\nvoluntary_ctxt_switches:\s(\d+)", t.read_text()) for t in tasks]
        return sum(int(number) for numbers in found for number in numbers)

    with bot(tmp_path, environment, "idle") as program:
        program.wait_for_line("^idle")
        pids = [program.process.pid, *(child.pid for child in program.children())]
        assert len(pids) == 3

        def woken() -> int:
            before = sum(map(switches, pids))
            time.sleep(2)
            return sum(map(switches, pids)) - before

        wait_until(lambda: woken() == 0, "two seconds without a wake-up")

"""Hot reload, in projects whose files change while their programs run."""

from __future__ import annotations

import os
import shutil
import sys
from itertools import groupby
from pathlib import Path

import psutil
import pytest

from liteyuki_core.process import sources
from tests.conftest import free_port
from tests.program import STARTED, Program, nonebot_plugin, python, running, write_files

Environment = dict[str, str]

MAIN = """
import asyncio
import os

from liteyuki_core import LiteyukiBot, get_channel, logger
from liteyuki_core.comm import active_channel
from liteyuki_core.process import RestartPolicy


def plain():
    import part

    os.write(1, f"plain {os.getpid()}: {part.TEXT}\\n".encode())
    for data in active_channel:
        os.write(1, f"plain got {data}\\n".encode())


if __name__ == "__main__":
    bot = LiteyukiBot()
    nonebot = {"plugin_dirs": ["plugins"]}
    launcher = "liteyuki_core.frameworks.nonebot:run"
    print(f"main {os.getpid()}", flush=True)
"""


def main(*lines: str) -> str:
    """Return a bot.py whose `bot` the lines add children and hooks to."""
    return MAIN + "".join(f"    {line}\n" for line in (*lines, "bot.run()"))


NONEBOT = 'bot.add_process("nonebot", launcher, kwargs=nonebot)'
PLAIN = 'bot.add_process("plain", plain)'

NUMBERS = """
numbers = get_channel("nonebot-active")
@bot.on_after_start
async def send():
    for number in range(100_000):
        await numbers.async_send(number)
        await asyncio.sleep(0.002)
""".strip().splitlines()


def says(text: str) -> str:
    """Return a plugin that says something, and who says it, when it is loaded."""
    return f'import os\nfrom liteyuki_core import logger\nlogger.info(f"{text} {{os.getpid()}}")\n'


def change(folder: Path, files: dict[str, str]) -> None:
    """Write files so that each is seen whole or not at all, as editors do."""
    for name, text in files.items():
        write_files(folder, {f"{name}.new": text})
        os.replace(folder / f"{name}.new", folder / name)


@pytest.fixture
def reloading(environment: Environment) -> Environment:
    """An environment with LITEYUKI_RELOAD on, and a driver that starts fast."""
    return {**environment, "LITEYUKI_RELOAD": "true", "DRIVER": "~none"}


def link(path: Path, folder: Path) -> None:
    """Make a link to a folder, or where that needs a privilege have the folder there itself."""
    if sys.platform == "win32":
        folder.rename(path)
    else:
        path.symlink_to(folder)


def restarts(program: Program) -> list[str]:
    """Return what was said to have been restarted, and for which file, so far."""
    return [m[1] for m in program.found(r"\] ((?:process \w+|LiteyukiBot) is restarted: .*)$")]


def test_a_change_restarts_only_its_child(tmp_path: Path, reloading: Environment) -> None:
    """Main and another child live on; what is sent meanwhile arrives later, once and in order.

    It is ready in well under 2 s on a machine with nothing else to do; here it only has to be.
    """
    plugin = nonebot_plugin(
        """
        import os

        @active_channel.on_receive(ordered=True)
        async def take(number):
            os.write(1, f"took {number} {os.getpid()}\\n".encode())
        """
    )
    files = {
        "bot.py": main(NONEBOT, PLAIN, *NUMBERS),
        "part.py": "TEXT = 'one'",
        "plugins/one.py": plugin,
    }
    write_files(tmp_path, files)
    more = {"DRIVER": "~fastapi", "PORT": str(free_port()), "PYTHONDONTWRITEBYTECODE": ""}
    with running(tmp_path, reloading, **more) as program:
        first = program.wait_for_line(r"took \d+ (\d+)")[1]
        plain = program.wait_for_line(r"plain (\d+): one")[1]
        program.wait_for_line(STARTED)
        change(tmp_path, {"plugins/one.py": plugin + "\nprint('loaded anew', flush=True)\n"})
        program.wait_for_line("loaded anew")
        program.wait_for_line(STARTED, 2)
        took = len(program.found(r"took "))
        program.wait_for_line(r"took ", took + 100)
        took_by = [(int(m[1]), m[2]) for m in program.found(r"took (\d+) (\d+)")]
        assert [number for number, _ in took_by] == list(range(len(took_by)))
        second = took_by[-1][1]
        assert second != first
        assert {pid for _, pid in took_by} == {first, second}
        assert restarts(program) == ["process nonebot is restarted: plugins/one.py has changed"]
        assert psutil.pid_exists(int(plain))

        change(tmp_path, {"part.py": "TEXT = 'the other'"})
        assert program.wait_for_line(r"plain (\d+): the other")[1] != plain
        assert restarts(program)[1:] == ["process plain is restarted: part.py has changed"]
        assert psutil.pid_exists(int(second))
        # By time and size it is the same file, and Python would take its bytecode.
        time = (tmp_path / "part.py").stat().st_mtime
        write_files(tmp_path, {"part.new": "TEXT = 'the third'"})
        os.utime(tmp_path / "part.new", (time, time))
        os.replace(tmp_path / "part.new", tmp_path / "part.py")
        program.wait_for_line(r"plain \d+: the third")
        assert program.stop() == 0
        assert len(program.found("^main")) == 1
        assert not program.found("Traceback|has not stopped|task .* is left")


def test_a_file_that_does_not_compile_keeps_the_old_child(
    tmp_path: Path, reloading: Environment
) -> None:
    """It is logged once, with its place; what mends it restarts, with all that has gathered.

    However many files change at once, that is one restart; some files are nobody's concern.
    """
    files = {
        "bot.py": main(NONEBOT, PLAIN),
        "part.py": "TEXT = 'one'",
        "plugins/one.py": says("one"),
        "plugins/two.py": says("two"),
    }
    write_files(tmp_path, files)
    with running(tmp_path, reloading) as program:
        pid = program.wait_for_line(r"two (\d+)$")[1]
        program.wait_for_line("plain")
        program.wait_for_line(STARTED)
        nobodys = ("README.md", "plugins/__pycache__/x.py", ".git/hooks.py", "data.db", "lock")
        change(tmp_path, dict.fromkeys(nobodys, "nobody's"))
        change(tmp_path, {"plugins/one.py": "a = 1\nb = (\n"})
        flaw = (
            r"ERROR.*nonebot is not restarted until this error is fixed: plugins/one\.py, line 2: "
        )
        program.wait_for_line(flaw)
        change(tmp_path, {"plugins/two.py": says("two again")})
        # What another child has loaded is not held up, and comes after all that was before.
        change(tmp_path, {"part.py": "TEXT = 'another'"})
        program.wait_for_line("plain .*another")
        assert restarts(program) == ["process plain is restarted: part.py has changed"]
        assert psutil.pid_exists(int(pid))

        change(tmp_path, {f"plugins/new_{n}.py": says(f"new {n}") for n in range(20)})
        change(tmp_path, {"plugins/one.py": says("mended")})
        program.wait_for_line("mended")
        program.wait_for_line("two again")
        program.wait_for_line(r"new \d+ ", 20)
        change(tmp_path, {"part.py": "TEXT = 'the last'"})
        program.wait_for_line("plain .*the last")
        assert restarts(program)[1:] == [
            "process nonebot is restarted: plugins/new_0.py has changed, and 21 more",
            "process plain is restarted: part.py has changed",
        ]
        assert len(program.found(flaw)) == 1


def test_files_that_come_and_go(tmp_path: Path, reloading: Environment) -> None:
    """A new plugin, a new package, one that goes, .env: each restarts. A broken one does not.

    And each only the child that loads plugins from there, or reads it.
    """
    files = {
        "bot.py": main(NONEBOT, PLAIN),
        "part.py": "TEXT = 'one'",
        "elsewhere/__init__.py": says("package"),
    }
    write_files(tmp_path, files)
    (tmp_path / "plugins").mkdir()
    with running(tmp_path, reloading) as program:
        program.wait_for_line(STARTED)
        change(tmp_path, {"plugins/one.py": says("one") + "no_such_name\n"})
        program.wait_for_line("NameError")
        program.wait_for_line("process nonebot goes on as it was: .* because it lacks one: see its")
        change(tmp_path, {"plugins/one.py": says("mended")})
        program.wait_for_line("mended")
        program.wait_for_line(STARTED, 2)
        (tmp_path / "elsewhere").rename(tmp_path / "plugins" / "package")
        program.wait_for_line("package")
        program.wait_for_line(STARTED, 3)
        (tmp_path / "plugins" / "package").rename(tmp_path / "elsewhere")
        program.wait_for_line(STARTED, 4)
        (tmp_path / "plugins" / "one.py").unlink()
        program.wait_for_line(STARTED, 5)
        for number, name in ((6, ".env"), (7, "pyproject.toml")):
            change(tmp_path, {name: "# changed"})
            program.wait_for_line(STARTED, number)
        why = [line.split("process nonebot is restarted: ")[-1] for line in restarts(program)]
        assert why == [
            "plugins/one.py has changed",
            "plugins/one.py has changed",
            "plugins/package/__init__.py has changed",
            "plugins/package has changed",
            "plugins/one.py has changed",
            ".env has changed",
            "pyproject.toml has changed",
        ]


def test_changes_during_a_restart_are_one_more(tmp_path: Path, reloading: Environment) -> None:
    """While a child stops or loads what has changed again, no more than one restart follows.

    What a child has loaded may be in a folder that is elsewhere.
    """
    project = tmp_path / "project"
    waits = "import time\nwhile not os.path.exists('go'):\n    time.sleep(0.01)\n"
    files = {
        "bot.py": main(NONEBOT, PLAIN),
        "../elsewhere/__init__.py": "TEXT = 'one'",
        "plugins/one.py": says("first"),
    }
    write_files(project, files)
    link(project / "part", tmp_path / "elsewhere")
    with running(project, reloading) as program:
        program.wait_for_line("plain")
        program.wait_for_line(STARTED)
        change(project, {"plugins/one.py": says("second") + waits})
        program.wait_for_line(r"second \d+$")
        change(project, {"plugins/one.py": says("the third") + waits})
        program.wait_for_line(r"the third \d+$")
        change(project, {"go": ""})
        program.wait_for_line(STARTED, 2)
        change(project, {"part/__init__.py": "TEXT = 'the last'"})
        program.wait_for_line("plain .*the last")
        where = sources.place(project / "part" / "__init__.py")
        assert restarts(program) == [
            "process nonebot is restarted: plugins/one.py has changed",
            "process nonebot is restarted: plugins/one.py has changed",
            f"process plain is restarted: {where} has changed",
        ]
        assert len(program.found(r"(first|second|the third) \d+$")) == 3


def test_a_child_is_reloaded_for_what_it_watches(tmp_path: Path, environment: Environment) -> None:
    """`watch` needs no setting: folders and files, replaced or made anew, and nothing else.

    A child may be added with it while the bot runs. A link to a folder is as good.
    """
    lines = (
        PLAIN.replace(")", ', watch=["part.py", "texts"])'),
        "@bot.on_after_start",
        "async def add():",
        '    bot.add_process("late", plain, watch=["part.py", "link"])',
    )
    project = tmp_path / "project"
    files = {
        "bot.py": main(*lines),
        "part.py": "TEXT = '1'",
        "other.py": "",
        "texts/one.py": "",
        "../outside/two.py": "",
    }
    write_files(project, files)
    link(project / "link", tmp_path / "outside")
    with running(project, environment) as program:
        program.wait_for_line(r"plain \d+: 1", 2)
        for number in (2, 3):
            change(project, {"other.py": "# " * number, "texts/data.json": "{}"})
            change(project, {"part.py": f"TEXT = '{'1' * number}'"})
            program.wait_for_line(rf"plain \d+: {'1' * number}$", 2)
        assert len(restarts(program)) == 4

        shutil.rmtree(project / "texts")
        program.wait_for_line(r"plain \d+: ", 7)
        change(project, {"texts/three.py": "", "texts/lock": ""})
        program.wait_for_line(r"plain \d+: ", 8)
        (project / "texts" / "lock").unlink()
        change(project, {"texts/three.py": "# changed"})
        program.wait_for_line(r"plain \d+: ", 9)
        change(project, {"link/two.py": "# changed"})
        program.wait_for_line(r"plain \d+: ", 10)
        found = [
            line.replace("process ", "").split(" is restarted: ") for line in restarts(program)
        ]
        assert {file for who, file in found[:4]} == {"part.py has changed"}
        # A change is one restart, or two if half of it is seen while the next process loads.
        assert [who for who, _ in groupby(found[4:], lambda each: each[0])] == ["plain", "late"]
        files = {file.split(" ")[0] for who, file in found[4:] if who == "plain"}
        assert files == {"texts", "texts/three.py"}
        assert found[-1][1].split(" ")[0] == sources.place(project / "link" / "two.py")
        assert program.stop() == 0


@pytest.mark.parametrize(
    ("watch", "error"),
    [
        ('["plugins", "no such"]', "ProcessStartError: process plain: there is no 'no such' to"),
        ('"plugins"', "TypeError: process plain: watch must be a list of paths, not 'plugins'"),
    ],
    ids=["missing", "text"],
)
def test_what_can_not_be_watched(
    tmp_path: Path, environment: Environment, watch: str, error: str
) -> None:
    """A path that is not there, or a path for a list of them: a clear error at add_process."""
    (tmp_path / "plugins").mkdir()
    code = f"""
        from liteyuki_core import LiteyukiBot

        bot = LiteyukiBot()
        try:
            bot.add_process("plain", "os:getpid", watch={watch})
        finally:
            print("added:", list(bot.processes))
    """
    done = python(code, tmp_path, environment)
    assert done.returncode == 1
    assert error in done.stdout
    assert "added: []" in done.stdout


def test_the_bot_runs_where_files_can_not_be_watched(
    tmp_path: Path, environment: Environment
) -> None:
    """One line says why nothing is reloaded; children live."""
    lines = (
        PLAIN.replace(")", ', watch=["gone/texts"])'),
        'os.rmdir("gone/texts")',
        'os.rmdir("gone")',
        '@bot.on_after_start\n    def use():\n        get_channel("plain-active").send("hello")',
    )
    write_files(tmp_path, {"bot.py": main(*lines), "part.py": "TEXT = 'one'"})
    (tmp_path / "gone" / "texts").mkdir(parents=True)
    with running(tmp_path, environment) as program:
        program.wait_for_line("plain got hello")
        program.wait_for_line("ERROR.*files can't be watched, so nothing is reloaded until .*gone")
        assert program.stop() == 0
        assert not program.found("Traceback")


def test_a_child_that_has_failed_is_started_again(tmp_path: Path, reloading: Environment) -> None:
    """Nobody can ask it what it had loaded: a change of any file that main has not, starts it."""
    files = {
        "bot.py": main('bot.add_process("part", "part:run")', PLAIN),
        "part.py": "import deeper",
        "deeper.py": "TEXT = no_such_name",
    }
    write_files(tmp_path, files)
    with running(tmp_path, reloading) as program:
        program.wait_for_line("process part .*could not start and is not started again")
        program.wait_for_line("process plain .*(again|given up)")
        change(tmp_path, {"deeper.py": "def run(: pass"})
        program.wait_for_line(r"process part is not restarted until .* deeper\.py, line 1: ")
        mended = "def run():\n    print('it runs', flush=True)"
        change(tmp_path, {"deeper.py": mended, "part.py": "from deeper import run; TEXT = 2"})
        program.wait_for_line("it runs$")
        program.wait_for_line(r"plain \d+: 2")


def test_main_is_restarted_for_what_it_has_loaded(tmp_path: Path, reloading: Environment) -> None:
    """Once, by itself, whichever child has loaded it too, and not while it does not compile.

    Until it does no child is restarted either: each would import the broken bot.py.
    """
    whole = main("import shared", PLAIN)
    files = {"bot.py": whole, "part.py": "from shared import TEXT", "shared.py": "TEXT = 'one'"}
    write_files(tmp_path, files)
    with running(tmp_path, reloading) as program:
        program.wait_for_line(r"plain \d+: one")
        change(tmp_path, {"bot.py": whole + "    )\n"})
        line = len(whole.strip().splitlines()) + 1
        program.wait_for_line(
            rf"LiteyukiBot is not restarted until this error is fixed: bot\.py, line {line}: "
        )
        change(tmp_path, {"part.py": "from shared import TEXT  # changed"})
        change(tmp_path, {"shared.py": "TEXT = ("})
        program.wait_for_line(r"LiteyukiBot is not restarted until .*shared\.py, line 1: ")
        change(tmp_path, {"bot.py": whole + "    # mended\n"})
        change(tmp_path, {"shared.py": "TEXT = 'the other'"})
        program.wait_for_line("^main", 2)
        program.wait_for_line(r"plain \d+: the other")
        change(tmp_path, {"part.py": "TEXT = 'reloading goes on'"})
        program.wait_for_line(r"plain \d+: reloading goes on")
        assert restarts(program) == [
            "LiteyukiBot is restarted: bot.py has changed, and 1 more",
            "process plain is restarted: part.py has changed",
        ]
        assert program.stop() == 0
        assert not program.found("Traceback|has not stopped|task .* is left")

"""Children that a server forks are as if spawned, and main's own.

Tests process/forking.py, process/starting.py and process/child/server.py.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT, wait_until
from tests.program import (
    Environment,
    Program,
    living,
    program_environment,
    python,
    running,
    running_program,
    spoken,
    went_well,
    write_files,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has fork servers")

_BOT = """
    from tests.children.forking import same

    if __name__ == "__main__":
        same()
"""
SPAWNED = {"LITEYUKI_START_METHOD": "spawn"}


def told(bot: Program) -> list[dict[str, Any]]:
    """Return what children have said of themselves, but for what is of one process alone."""
    return [json.loads(line) for line in spoken(bot) if line.startswith("{")]


def test_a_child_has_what_a_spawned_one_has(tmp_path: Path, environment: Environment) -> None:
    """All that main has when the child is started, not when the server was."""
    found = []
    for more in ({}, SPAWNED):
        folder = tmp_path / "project"
        write_files(folder, {"bot.py": _BOT})
        with running(folder, program_environment(environment, **more)) as bot:
            went_well(bot)
            assert spoken(bot, "> servers ") == [str(int(not more))] * 2
            found.append(told(bot))
        shutil.rmtree(folder)
    forked, spawned = found
    assert len(forked) == len(spawned) == 11
    for one, other in zip(forked, spawned, strict=True):
        for lives in (one, other):
            lives["environment"].pop("LITEYUKI_START_METHOD", None)
        assert one == other
    assert len({json.dumps(one) for one in forked}) > 6, "main has become another"


def test_what_happens_to_the_server(tmp_path: Path, environment: Environment) -> None:
    """It holds nothing and heeds no signal of a terminal; killed, it is begun again."""
    with running_program(tmp_path, environment, "forking:serves") as bot:
        went_well(bot, "process w exited with code 7")


def test_children_share_no_chance(tmp_path: Path, environment: Environment) -> None:
    """Copies of one process draw different numbers."""
    with running_program(tmp_path, environment, "forking:chance") as bot:
        went_well(bot)


def test_changed_code_is_loaded(tmp_path: Path, environment: Environment) -> None:
    """Also of what the server has imported."""
    for folder in ("liteyuki_core", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    command = ["-m", "tests.children", "forking:code", "liteyuki_core/errors.py"]
    result = python(
        f"import os, sys; os.execv(sys.executable, [sys.executable, *{command}])",
        tmp_path,
        {**environment, "PYTHONPATH": str(tmp_path)},
    )
    assert result.returncode == 0, result.stdout
    assert "all is well" in result.stdout, result.stdout


@pytest.mark.parametrize("how", ["main is killed", "a copy of main lives on", "main is stopped"])
def test_the_server_ends_with_main(tmp_path: Path, environment: Environment, how: str) -> None:
    """However main ends, and whoever has a copy of its socket."""
    copied = ["copy"] if "copy" in how else []
    with running_program(tmp_path, environment, "forking:gone", *copied) as bot:
        server = psutil.Process(int(bot.wait_for_line(r"^> server (\d+)$")[1]))
        if copied:
            bot.wait_until((tmp_path / "copy").exists, "a copy")
        if "stopped" in how:
            assert bot.stop() == 0
        else:
            bot.children()
            bot.process.kill()
        wait_until(lambda: not living([server]), "the server has ended")
        if copied:
            copy = psutil.Process(int(spoken(bot, "> copy ")[0]))
            assert living([copy])
            copy.kill()


def test_each_framework_has_its_server(tmp_path: Path, environment: Environment) -> None:
    """Plain children do not pay for NoneBot."""
    write_files(tmp_path, {".env": "DRIVER=~none\n"})
    with running_program(tmp_path, environment, "forking:kinds") as bot:
        went_well(bot)


def test_a_stop_does_not_wait_for_a_server(tmp_path: Path, environment: Environment) -> None:
    """One that has not begun to serve is ended, and no child is started."""
    with running_program(tmp_path, environment, "forking:stopped_while_it_loads") as bot:
        assert bot.wait() == 0
        assert bot.found("^> it hangs$")
        assert bot.found("LiteyukiBot has stopped")
        assert not bot.found("Traceback|WARNING|ERROR")


@pytest.mark.parametrize(
    ("site", "says"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)", "2 threads"),
        ("import os\nos.kill(os.getpid(), 9", "ends again and again"),
    ],
)
def test_without_a_server_children_are_spawned(
    tmp_path: Path, environment: Environment, site: str, says: str
) -> None:
    """One that must not fork, or does not come up. The log says so once."""
    end = ", daemon=True).start()" if "thread" in site else ")"
    first, _, second = site.partition("\n")
    only = "if 'child.server' in ' '.join(sys.orig_argv):"
    write_files(
        tmp_path / "site", {"sitecustomize.py": f"import sys\n{only}\n    {first}; {second}{end}\n"}
    )
    path = os.pathsep.join([str(tmp_path / "site"), environment.get("PYTHONPATH", "")])
    with running_program(tmp_path, {**environment, "PYTHONPATH": path}, "forking:unusable") as bot:
        went_well(bot)
        assert spoken(bot) == ["servers 0"]
        assert len(bot.found(f"WARNING.*children are spawned, .*: .*{says}")) == 1, bot.output


def test_who_is_adopted_is_reaped(tmp_path: Path, environment: Environment) -> None:
    """What a child leaves behind while main adopts orphans does not stay a zombie."""
    with running_program(tmp_path, environment, "forking:adopts") as bot:
        went_well(bot, "process w exited with code 7")


def test_many_at_once(tmp_path: Path, environment: Environment) -> None:
    """Exit codes are those of the children, also when the server is killed meanwhile."""
    with running_program(tmp_path, environment, "forking:many") as bot:
        went_well(bot)
        for code in (5, 6, 7):
            assert len(bot.found(rf"process w\d exited with code {code};")) == 8, bot.output
        assert not bot.found("Traceback|not known")

"""A new project runs at once, and its own tests pass, here and where it alone is installed.

Tests cli/init.py and cli/template.py.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

import pytest

from liteyuki_core.cli.template import NAMES, template
from tests.cli.conftest import Liteyuki
from tests.conftest import DEADLINE, ROOT, free_port
from tests.program import running, stopped_by_itself

TESTS = {"nonebot": 4, "plain": 2}
"""How many tests a project has."""


def call(command: list[str | Path], folder: Path, environment: Mapping[str, str]) -> str:
    """Run a command to its end, which must be a good one; return what it has written."""
    ended = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=45 * DEADLINE,  # pip installs fifty packages.
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_new_project_runs(
    here: Path, environment: dict[str, str], liteyuki: Liteyuki, name: str
) -> None:
    """Its plugins of each kind are loaded, it stops by itself, and its own tests pass."""
    text = liteyuki("init", "new", "--template", name)
    start, test = text.splitlines()[-2:]
    assert start == "start it: cd new; liteyuki run"
    assert test == "test it: cd new; python -m pytest"
    project = here / "new"
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert files == set(template(name, "en"))
    if sys.platform != "win32":
        assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    environment["PORT"] = str(free_port())
    with running(project, environment) as program:
        if name == "nonebot":
            program.wait_for_line("process nonebot is ready")
            assert program.found('Succeeded to load plugin "forward"')
            found = json.loads(liteyuki("-C", "new", "channels", "--json"))
            assert "nonebot-active" in [each["name"] for each in found]
        else:
            program.wait_for_line("the worker answers: HELLO$")
        assert not program.found("Traceback|WARNING"), program.output
        assert program.stop() == 0
        assert name == "plain" or stopped_by_itself(program)
    # What is here for other tests is not there: see `requirements.txt`.
    without = ["-p", "no:nonebug", "-p", "no:asyncio", "-p", "no:schemathesis"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *without]
    assert f"{TESTS[name]} passed" in call([*command], project, environment)


@pytest.mark.long
def test_a_new_project_where_it_alone_is_installed(
    here: Path, environment: dict[str, str], liteyuki: Liteyuki, tmp_path: Path
) -> None:
    """By its `requirements.txt`, with the wheel of this project and what pip finds."""
    wheels = tmp_path / "wheels"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, ROOT]
    call(build, here, environment)
    liteyuki("init", "new")
    venv.create(here / "venv", with_pip=True)
    (interpreter,) = (here / "venv").glob("*/python" if sys.platform != "win32" else "*/python.exe")
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PIP_REQUIRE_VIRTUALENV"):
        environment.pop(name, None)
    install = ["-m", "pip", "install", "--quiet", "--find-links", wheels, "-r", "requirements.txt"]
    call([interpreter, *install], here / "new", environment)
    where = "import liteyuki_core; print(liteyuki_core.__file__)"
    found = call([interpreter, "-c", where], here / "new", environment)
    assert Path(found.strip()).is_relative_to(here / "venv")
    tested = call([interpreter, "-m", "pytest", "-W", "error"], here / "new", environment)
    assert f"{TESTS['nonebot']} passed" in tested


def test_the_readme_is_in_the_users_language(here: Path, liteyuki: Liteyuki) -> None:
    """Both have the same code; all else is the same."""
    liteyuki("init", "new", LITEYUKI_LOG_LANG="zh")
    assert "主进程" in (here / "new" / "README.md").read_text(encoding="utf-8")
    for name in NAMES:
        english, chinese = template(name, "en"), template(name, "zh")
        assert [path for path in english if english[path] != chinese[path]] == ["README.md"]
        readmes = [
            files["README.md"].split("```")[1::2] + files["README.md"].split("`")[1::2]
            for files in (english, chinese)
        ]
        assert set(readmes[0]) == set(readmes[1])


@pytest.mark.parametrize("name", NAMES)
def test_what_it_consists_of(name: str) -> None:
    """Its Python can be compiled, its lines are not too long, and CI does what the README says."""
    files = template(name, "en")
    for path, text in files.items():
        assert text.endswith("\n")
        assert not text.endswith("\n\n")
        if path.endswith(".py"):
            compile(text, path, "exec")
            assert max(map(len, text.splitlines())) <= 100
    install, test = re.findall(r"- run: (.*)\n", files[".github/workflows/test.yml"])
    assert install in files["README.md"]
    assert f"`{test}`" in files["README.md"]


def test_nothing_is_overwritten(here: Path, liteyuki: Liteyuki) -> None:
    """One file that is there is enough: none is written."""
    (here / "tests").mkdir()
    (here / "tests" / "test_bot.py").write_text("mine", encoding="utf-8")
    text = liteyuki("init", code=1)
    assert text == "there is tests/test_bot.py already; nothing was written\n"
    assert [path.name for path in here.iterdir()] == ["tests"]
    found = json.loads(liteyuki("init", "other", "--template", "plain", "--json"))
    assert found["files"] == list(template("plain", "en"))

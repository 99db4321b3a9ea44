"""A new project runs at once, and its own test passes.

Tests cli/init.py and cli/template.py.
"""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from liteyuki_core.cli.template import TEMPLATES
from tests.cli.conftest import Liteyuki
from tests.conftest import DEADLINE, free_port
from tests.program import running, stopped_by_itself


@pytest.mark.parametrize("template", sorted(TEMPLATES))
def test_a_new_project_runs(
    here: Path, environment: dict[str, str], liteyuki: Liteyuki, template: str
) -> None:
    """Its plugins of each kind are loaded, it stops by itself, and its own test passes."""
    text = liteyuki("init", "new", "--template", template)
    assert text.splitlines()[-1] == "start it: cd new; liteyuki run"
    project = here / "new"
    files = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    assert files == set(TEMPLATES[template])
    if sys.platform != "win32":
        assert stat.S_IMODE((project / ".env").stat().st_mode) == 0o600
    environment["PORT"] = str(free_port())
    with running(project, environment) as program:
        if template == "nonebot":
            program.wait_for_line("process nonebot is ready")
            assert program.found('Succeeded to load plugin "forward"')
            found = json.loads(liteyuki("-C", "new", "channels", "--json"))
            assert "nonebot-active" in [each["name"] for each in found]
        else:
            program.wait_for_line("the worker answers: HELLO$")
        assert not program.found("Traceback|WARNING"), program.output
        assert program.stop() == 0
        assert template == "plain" or stopped_by_itself(program)
    # Here nonebug is there, which a project without NoneBot has not.
    without = ("-p", "no:nonebug") if template == "plain" else ()
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *without, "tests"],
        cwd=project,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=6 * DEADLINE,
    )
    assert tested.returncode == 0, tested.stdout
    assert "1 passed" in tested.stdout


def test_nothing_is_overwritten(here: Path, liteyuki: Liteyuki) -> None:
    """One file that is there is enough: none is written."""
    (here / "tests").mkdir()
    (here / "tests" / "test_bot.py").write_text("mine", encoding="utf-8")
    text = liteyuki("init", code=1)
    assert text == "there is tests/test_bot.py already; nothing was written\n"
    assert [path.name for path in here.iterdir()] == ["tests"]
    found = json.loads(liteyuki("init", "other", "--template", "plain", "--json"))
    assert found["files"] == list(TEMPLATES["plain"])

"""Services: what is written, and what the system is told.

Tests cli/service.py and cli/unit.py.
"""

from __future__ import annotations

import configparser
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from liteyuki_core.cli.unit import Service, directory_of, task_of, unit_of
from tests.cli.conftest import Liteyuki
from tests.conftest import ROOT
from tests.program import Program, python

linux = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")
STRANGE = Service("s", '/srv/a "b" 50% $HOME', "/opt/py $1/python", "$my bot.py", "/a:/b c%")

SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
if [ -e {folder}/fails ]; then echo "no bus"; exit 1; fi
"""


@pytest.fixture
def systemctl(tmp_path: Path, environment: dict[str, str]) -> Path:
    """Have a systemctl that writes what it is told into this file."""
    log = tmp_path / "told"
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "systemctl"
    program.write_text(SYSTEMCTL.format(log=log, folder=tmp_path))
    program.chmod(0o755)
    environment["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment["XDG_CONFIG_HOME"] = str(tmp_path / "config")
    return log


def unit_in(here: Path) -> Path:
    """Return where the unit is."""
    return here / f"config/systemd/user/liteyuki-{here.name}.service"


@linux
def test_installing_and_uninstalling(liteyuki: Liteyuki, here: Path, systemctl: Path) -> None:
    """A unit is there and started, then neither."""
    (here / "bot.py").touch()
    text = liteyuki("install-service")
    name, unit = f"liteyuki-{here.name}", unit_in(here)
    assert text.splitlines()[0] == f"the service {name} is installed: {unit}"
    assert "loginctl enable-linger" in text
    assert unit.read_text().rstrip("\n") == liteyuki("install-service", "--print").rstrip("\n")
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(unit)
    assert parser["Service"]["WorkingDirectory"] == str(here)
    assert parser["Service"]["ExecStart"] == f'"{sys.executable}" "bot.py"'
    assert liteyuki("uninstall-service") == f"the service {name} is removed\n"
    assert not unit.exists()
    assert systemctl.read_text().splitlines() == [
        "--user daemon-reload",
        f"--user enable --now {name}.service",
        f"--user disable --now {name}.service",
        "--user daemon-reload",
    ]
    assert liteyuki("uninstall-service", code=1) == f"there is no service {name}\n"


@linux
def test_printing_writes_nothing(liteyuki: Liteyuki, here: Path, systemctl: Path) -> None:
    """Nobody is told of anything."""
    (here / "other.py").touch()
    assert 'bin/python" "other.py"' in liteyuki("install-service", "--print", "other.py").replace(
        os.path.basename(sys.executable), "python"
    )
    assert not systemctl.exists()
    assert not (here / "config").exists()


@linux
def test_a_bot_that_runs_is_not_started_again(
    bot: Program, liteyuki: Liteyuki, here: Path, systemctl: Path
) -> None:
    """The service is there for the next time."""
    (here / "bot.py").touch()
    found = json.loads(liteyuki("install-service", "--name", "mine", "--json"))
    path = here / "config/systemd/user/mine.service"
    assert found == {"name": "mine", "path": str(path), "started": False}
    assert systemctl.read_text().splitlines()[-1] == "--user enable mine.service"
    assert json.loads(liteyuki("uninstall-service", "--name", "mine", "--json")) == {"name": "mine"}


@linux
def test_a_name_that_another_has(liteyuki: Liteyuki, here: Path, systemctl: Path) -> None:
    """The other's unit stays as it is."""
    (here / "a").mkdir()
    for folder in (here, here / "a"):
        (folder / "bot.py").touch()
    liteyuki("install-service", "--name", "x")
    text = f"the service x is for {here}; choose another --name\n"
    assert liteyuki("-C", "a", "install-service", "--name", "x", code=1) == text
    assert liteyuki("-C", "a", "uninstall-service", "--name", "x", code=1) == text
    liteyuki("install-service", "--name", "x")


@linux
def test_without_systemctl(liteyuki: Liteyuki, here: Path, environment: dict[str, str]) -> None:
    """The unit is written, and it is said what to run."""
    (here / "bot.py").touch()
    environment.update(PATH=str(here), XDG_CONFIG_HOME=str(here / "config"))
    name = f"liteyuki-{here.name}.service"
    assert liteyuki("install-service", code=1) == (
        "systemctl is not here; run this yourself: systemctl --user daemon-reload && "
        f"systemctl --user enable --now {name}\n"
    )
    assert unit_in(here).exists()
    assert liteyuki("uninstall-service", code=1) == (
        f"systemctl is not here; run this yourself: systemctl --user disable --now {name} && "
        f"rm {unit_in(here)}\n"
    )


@linux
def test_a_systemctl_that_fails(liteyuki: Liteyuki, here: Path, systemctl: Path) -> None:
    """What it says is said."""
    (here / "bot.py").touch()
    (here / "fails").touch()
    assert liteyuki("install-service", code=1).startswith("no bus; run this yourself: systemctl")


@linux
def test_a_file_that_is_not_there(liteyuki: Liteyuki, here: Path) -> None:
    """It is said before anything is written."""
    assert liteyuki("install-service", code=1) == f"there is no file bot.py in {here}\n"


# ------------------------------------------------------------- the texts


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """Also with paths that mean something to it."""
    folder = tmp_path / "a b 50% $HOME"
    folder.mkdir()
    interpreter = folder / "python"
    interpreter.symlink_to(sys.executable)
    unit = tmp_path / "strange.service"
    service = Service("strange", str(folder), str(interpreter), "$my bot.py", "/bin:/a b%")
    unit.write_text(unit_of(service, 10.0))
    result = subprocess.run(
        ["systemd-analyze", "--user", "verify", "--man=no", unit],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    about = [line for line in result.stderr.splitlines() if "strange" in line]
    assert (result.returncode, about) == (0, []), result.stderr


def test_the_unit_of_strange_paths() -> None:
    """Each character means itself."""
    text = unit_of(STRANGE, 30.0)
    assert 'WorkingDirectory=/srv/a "b" 50%% $HOME\n' in text
    assert 'ExecStart="/opt/py $1/python" "$$my bot.py"\n' in text
    assert 'Environment="PATH=/a:/b c%%"\n' in text
    assert "TimeoutStopSec=40\n" in text
    assert directory_of(text) == STRANGE.directory
    assert directory_of("[Unit]\n") is None


def test_the_unit_is_that_of_deploy() -> None:
    """But for the user, the paths, and what a user's own systemd does not know."""

    def service(text: str) -> dict[str, str]:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_string(text)
        return dict(parser["Service"])

    ours = service(unit_of(Service("s", "/srv/bot", "/p", "bot.py", "/bin"), 10.0))
    theirs = service((ROOT / "deploy/liteyuki.service").read_text(encoding="utf-8"))
    assert ours.keys() - theirs.keys() == {"environment"}
    assert theirs.keys() - ours.keys() == {"user"}
    same = ours.keys() & theirs.keys() - {"execstart"}
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}


def test_the_task_of_windows() -> None:
    """It is XML in the order that the Task Scheduler wants, with each character as it is."""
    service = Service("s", r"C:\Bots & <more>", r"C:\Python\python.exe", "my bot.py", "")
    text = task_of(service, r"HOST\轻雪 & co")
    root = ElementTree.fromstring(text.replace(' encoding="UTF-16"', ""))
    space = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"
    parts = ["RegistrationInfo", "Triggers", "Principals", "Settings", "Actions"]
    assert [child.tag for child in root] == [space + part for part in parts]

    def said(path: str) -> str | None:
        return root.findtext("/".join(space + part for part in path.split("/")))

    assert said("Actions/Exec/Command") == service.python
    assert said("Actions/Exec/Arguments") == '"my bot.py"'
    assert said("Actions/Exec/WorkingDirectory") == service.directory
    assert said("Triggers/LogonTrigger/UserId") == r"HOST\轻雪 & co"
    assert said("Principals/Principal/UserId") == r"HOST\轻雪 & co"
    assert said("Settings/ExecutionTimeLimit") == "PT0S"
    assert said("Settings/MultipleInstancesPolicy") == "IgnoreNew"
    assert text.encode("utf-16").decode("utf-16") == text


def test_on_macos(here: Path, environment: dict[str, str]) -> None:
    """It says that there is none, and writes nothing."""
    result = python(
        """
        import sys
        from liteyuki_core.cli import service
        from liteyuki_core.cli.group import liteyuki
        sys.platform = "darwin"
        liteyuki(["install-service"])
        """,
        here,
        environment,
        LITEYUKI_LOG_LANG="en",
    )
    assert result.returncode == 1
    assert result.stdout.startswith("there are services for Linux and Windows alone")
    assert list(here.iterdir()) == []

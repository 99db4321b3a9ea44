"""Completion: by bash itself, and as the other shells ask for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Liteyuki
from tests.program import Program

Completed = Callable[..., list[str]]
BASH = shutil.which("bash")


def has_new_bash() -> bool:
    """Return whether there is a bash that click's script is for."""
    if BASH is None or sys.platform == "win32":
        return False
    command = [BASH, "-c", "echo $((BASH_VERSINFO[0] * 100 + BASH_VERSINFO[1]))"]
    return int(subprocess.check_output(command, timeout=20)) >= 404


@pytest.fixture
def completed(here: Path, environment: dict[str, str]) -> Completed:
    """Return what bash completes a line to, of which the last word is not whole."""
    program = here / "bin" / "liteyuki"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m liteyuki_core.cli "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{environment.get('PATH', os.defpath)}"

    def complete(*words: str) -> list[str]:
        script = """
            source <(liteyuki completion bash)
            COMP_WORDS=("$@")
            COMP_CWORD=$(($# - 1))
            $(complete -p liteyuki | sed 's/.*-F \\([^ ]*\\).*/\\1/') liteyuki "${COMP_WORDS[-1]}"
            printf '%s\\n' "${COMPREPLY[@]}"
        """
        assert BASH is not None
        result = subprocess.run(
            [BASH, "-c", script, "bash", "liteyuki", *words],
            cwd=here,
            env={**environment, "PATH": path, "LITEYUKI_LOG_LANG": "en"},
            capture_output=True,
            encoding="utf-8",
            timeout=60,
        )
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.split()

    return complete


bash = pytest.mark.skipif(not has_new_bash(), reason="there is no bash of 4.4 or newer")


@bash
def test_commands_and_options(completed: Completed) -> None:
    """As they begin."""
    assert completed("sta") == ["start", "status"]
    assert completed("store", "wa") == ["watch"]
    assert completed("status", "--w") == ["--watch"]


@bash
def test_without_a_bot_there_are_no_names(completed: Completed) -> None:
    """And nothing is said about it in the middle of a line."""
    assert completed("restart", "w") == []


@bash
def test_names(bot: Program, completed: Completed) -> None:
    """Of processes and channels, also of a bot elsewhere."""
    assert completed("restart", "w") == ["waits", "works"]
    assert completed("logs", "-f", "ec") == ["echo"]
    assert completed("tail", "echo-") == ["echo-active", "echo-passive"]
    assert completed("-C", ".", "wait", "e") == ["echo"]


@pytest.mark.parametrize(
    ("shell", "part"),
    [
        ("zsh", "#compdef liteyuki\n"),
        ("fish", "complete --no-files --command liteyuki"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName liteyuki "),
    ],
)
def test_the_scripts_of_others(liteyuki: Liteyuki, shell: str, part: str) -> None:
    """Each has that shell's own command, and asks as that shell."""
    script = liteyuki("completion", shell)
    assert part in script
    assert f"{shell}_complete" in script


@pytest.mark.parametrize(
    ("line", "word", "found"),
    [
        ("liteyuki sta", "sta", ["start", "status"]),
        ("liteyuki store ", "", ["delete", "get", "list", "set", "watch"]),
        ("liteyuki store wa", "wa", ["watch"]),
    ],
)
def test_as_powershell_asks(liteyuki: Liteyuki, line: str, word: str, found: list[str]) -> None:
    """A word a line."""
    asked = {"_LITEYUKI_COMPLETE": "powershell_complete", "COMP_WORDS": line, "COMP_CWORD": word}
    assert sorted(liteyuki(**asked).split()) == found


def test_another_shell(liteyuki: Liteyuki) -> None:
    """The error names those that there are."""
    assert "'powershell'" in liteyuki("completion", "tcsh", code=2)

"""Runs of pytest in projects of their own, with the kit as an installed plugin."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.conftest import DEADLINE
from tests.program import write_files

SETTINGS = """
    [pytest]
    asyncio_mode = auto
    asyncio_default_fixture_loop_scope = function
"""
OTHERS = ("no:nonebug", "no:schemathesis")
"""Plugins that are here for other tests."""


def run_pytest(
    folder: Path,
    environment: Mapping[str, str],
    files: Mapping[str, str],
    *arguments: str,
    without: tuple[str, ...] = OTHERS,
) -> str:
    """Write files, run pytest in their folder to its end, and return what it has written."""
    write_files(folder, {"pytest.ini": SETTINGS, **files})
    left_out = [word for name in without for word in ("-p", name)]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *left_out, *arguments]
    # As in a shell: whose terminal is wide does not matter.
    ended = subprocess.run(
        command,
        cwd=folder,
        env={**environment, "COLUMNS": "200"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=15 * DEADLINE,
    )
    return ended.stdout

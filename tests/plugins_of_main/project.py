"""A project with plugins, and what its bot says."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent, indent

from tests.conftest import DEADLINE
from tests.program import Environment, without_names, write_files

TELLS = "print('here is', __name__, flush=True)\n"
"""A plugin that tells that it is here."""

BOT = """
from liteyuki_core import LiteyukiBot, load_plugin, load_plugins, require

if __name__ == "__main__":
    bot = LiteyukiBot()
{lines}
    if {stops}:
        bot.on_after_start(lambda: bot.stop())
    bot.run()
    print("loaded:", *bot.plugins)
"""


class Project:
    """A folder with a bot, which stops once it has started unless a plugin does that."""

    def __init__(self, folder: Path, environment: Environment) -> None:
        self.folder = folder
        self.environment = environment

    def run(
        self,
        files: Mapping[str, str],
        lines: str = "",
        code: int = 0,
        stops: bool = True,
        bot: str = "",
        **settings: str,
    ) -> str:
        """Write files and run a bot.py with these lines to its end; return what it has written,
        without the names of processes.

        `bot` is the whole of another bot.py. Keys of settings are those of LITEYUKI_, in lower
        case without the prefix.
        """
        bot = bot or BOT.format(lines=indent(dedent(lines), "    "), stops=stops)
        write_files(self.folder, {**files, "bot.py": bot})
        more = {f"LITEYUKI_{key.upper()}": value for key, value in settings.items()}
        ended = subprocess.run(
            [sys.executable, "bot.py"],
            cwd=self.folder,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=3 * DEADLINE,
        )
        assert ended.returncode == code, ended.stdout
        return without_names(ended.stdout)


def loaded(output: str) -> list[str]:
    """Return the names of the plugins that were loaded, in order."""
    (line,) = (line for line in output.splitlines() if line.startswith("loaded:"))
    return line.split()[1:]


def errors(output: str) -> list[str]:
    """Return the errors in a log, each without its traceback."""
    mark = "[⭕ERROR] "
    return [line.split(mark, 1)[1] for line in output.splitlines() if mark in line]


def requires(*names: str) -> str:
    """Return a plugin that requires others, then tells that it is here."""
    lines = (f"require({name!r})\n" for name in names)
    return "from liteyuki_core import require\n" + "".join(lines) + TELLS


def told(output: str) -> list[str]:
    """Return the plugins that have told that they are here."""
    return re.findall(r"^here is (?:\w+\.)*(\w+)$", output, re.MULTILINE)

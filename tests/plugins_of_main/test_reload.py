"""Hot reload of plugins of the main process: a change in one restarts main."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.program import Environment, Program, running, write_files

BOT = """
    import os
    from liteyuki_core import LiteyukiBot, load_plugin

    if __name__ == "__main__":
        bot = LiteyukiBot()
        print(f"main {os.getpid()}", flush=True)
        load_plugin("own")
        bot.run()
"""
WORK = """
    import os
    from liteyuki_core.comm import active_channel

    def work():
        print("work", {text!r}, flush=True)
        for data in active_channel:
            pass
"""


@pytest.fixture
def reloading(environment: Environment) -> Environment:
    """An environment with LITEYUKI_RELOAD on, and a folder of plugins."""
    return {**environment, "LITEYUKI_RELOAD": "true", "LITEYUKI_PLUGIN_DIRS": "plugins"}


def restarts(program: Program) -> list[str]:
    """Return what was restarted, and for which file, so far."""
    return [m[1] for m in program.found(r"\] ((?:process \w+|LiteyukiBot) is restarted: .*)$")]


def test_what_restarts_the_main_process(tmp_path: Path, reloading: Environment) -> None:
    """A plugin that changes, one that is mended, one that is new; not what a child alone has."""
    files = {
        "bot.py": BOT,
        "own.py": "import part\nprint('own is here', flush=True)\n",
        "part.py": "raise RuntimeError('not yet')\n",
        "plugins/one.py": "print('one is here', flush=True)\n",
        "plugins/two/__init__.py": "from . import inner\n",
        "plugins/two/inner.py": "no_such_name\n",
        "plugins/_work.py": WORK.format(text="first"),
        "plugins/worker.py": (
            "from liteyuki_core import get_bot\n"
            "get_bot().add_process('work', 'plugins._work:work')\n"
        ),
    }
    write_files(tmp_path, files)
    changes = (
        ("plugins/one.py", "print('one is new', flush=True)\n", "one is new"),
        ("plugins/two/inner.py", "print('two is mended', flush=True)\n", "two is mended"),
        ("part.py", "print('part is mended', flush=True)\n", "part is mended"),
        ("plugins/three.py", "print('three has come', flush=True)\n", "three has come"),
    )
    with running(tmp_path, reloading) as program:
        pid = program.wait_for_line(r"^main (\d+)")[1]
        program.wait_for_line("process work is ready")
        assert program.found("plugin own could not be loaded: RuntimeError: not yet")
        assert program.found("plugin two could not be loaded: NameError")
        write_files(tmp_path, {"plugins/_work.py": WORK.format(text="second")})
        program.wait_for_line("^work second")
        program.wait_for_line("process work is ready", 2)
        assert restarts(program) == ["process work is restarted: plugins/_work.py has changed"]
        for number, (path, text, says) in enumerate(changes):
            write_files(tmp_path, {path: text})
            program.wait_for_line(f"^{says}")
            program.wait_for_line("process work is ready", 3 + number)
        assert program.stop() == 0
        assert restarts(program)[1:] == [
            f"LiteyukiBot is restarted: {path} has changed" for path, *_ in changes
        ]
        assert {match[1] for match in program.found(r"^main (\d+)")} == {pid}
        assert program.found("plugin own is loaded from own")
        assert program.found("plugin two is loaded from plugins.two")

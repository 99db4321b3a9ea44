"""Where plugins are loaded: in the main process, by a LiteyukiBot, and nowhere else.

Tests plugin/current.py.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from liteyuki_core import NotConnected, load_plugin, load_plugins, require
from liteyuki_core.plugin import get_loaded_plugins, loading_plugin, plugin_of
from tests.plugins_of_main.project import TELLS, Project, errors, loaded, told
from tests.program import Environment, python, write_files


def test_without_a_liteyukibot() -> None:
    """Loading says where it belongs; who only asks about a function is answered."""
    for call in (lambda: load_plugin("x"), lambda: load_plugins("x"), lambda: require("x")):
        with pytest.raises(NotConnected, match=r"in bot\.py, under `if __name__ == "):
            call()
    with pytest.raises(NotConnected):
        get_loaded_plugins()
    assert loading_plugin() is None
    assert plugin_of(test_without_a_liteyukibot) is None


def test_a_plugin_that_makes_a_bot(project: Project) -> None:
    """It is told to use the one that loads it, which goes on."""
    files = {"one.py": "from liteyuki_core import LiteyukiBot\nLiteyukiBot().run()\n", "two.py": ""}
    output = project.run(files, "load_plugin('one')", plugins="two")
    assert loaded(output) == ["two"]
    (error,) = errors(output)
    assert error == (
        "plugin one could not be loaded: LiteyukiError: plugin one is being loaded by a "
        "LiteyukiBot: use get_bot() in it instead of LiteyukiBot()"
    )


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_in_a_child(project: Project, method: str) -> None:
    """A child that needs a plugin of the main process is told what to do, in one clear line."""
    files = {
        "plugins/own.py": """
            from liteyuki_core import get_bot

            def work(): ...

            get_bot().add_process("own", work)
        """,
        "plugins/needs.py": """
            from liteyuki_core import get_bot, require
            require("own")
            get_bot().add_process("needs", "working:work")
        """,
        "working.py": "from liteyuki_core import require\nrequire('own')\ndef work(): ...\n",
    }
    output = project.run(files, code=1, stops=False, plugin_dirs="plugins", start_method=method)
    says = "this is child process {}, and {}: put what a child runs into a module that "
    main = "get_bot() belongs to its main process"
    assert says.format("own", main) + "does not call get_bot()" in output
    only = "only its main process loads these plugins"
    assert says.format("needs", only) + "loads and requires none" in output


def test_bot_py_without_its_guard(project: Project) -> None:
    """Each child imports bot.py again, and says what is to be put under the guard."""
    bot = """
        from liteyuki_core import LiteyukiBot, load_plugin

        def work(): ...

        if __name__ != "__mp_main__":
            bot = LiteyukiBot()
        load_plugin("one")
        if __name__ == "__main__":
            bot.add_process("x", work)
            bot.run()
    """
    output = project.run({"one.py": TELLS}, bot=bot, start_method="spawn", code=1)
    assert "NotConnected: there is no LiteyukiBot in this process: plugins of the main" in output
    assert told(output) == ["one"]


@pytest.mark.parametrize(
    "call", ["load_plugin(3)", "load_plugin(b'one')", "load_plugins(None)", "require(None)"]
)
def test_what_is_no_name(project: Project, call: str) -> None:
    """A TypeError, at once."""
    output = project.run({}, call, code=1)
    assert "TypeError: " in output


def test_after_the_end(tmp_path: Path, environment: Environment) -> None:
    """When a bot has run, its process has no plugins any more; the bot still tells which."""
    write_files(tmp_path, {"one.py": TELLS})
    code = """
        from liteyuki_core import LiteyukiBot, NotConnected
        from liteyuki_core.plugin import get_loaded_plugins, load_plugin
        bot = LiteyukiBot()
        load_plugin("one")
        print("the same:", get_loaded_plugins() == bot.plugins)
        bot.stop()
        bot.run()
        try:
            get_loaded_plugins()
        except NotConnected:
            print("gone, but", *bot.plugins)
    """
    output = python(code, tmp_path, environment).stdout
    assert "the same: True\n" in output
    assert "gone, but one\n" in output

"""Loading plugins: what they may do, and in which order they come.

Tests plugin/loader.py.
"""

from __future__ import annotations

import re

import pytest

from tests.plugins_of_main.project import TELLS, Project, errors, loaded, requires, told

# ------------------------------------------------------------- what a plugin does


def test_a_plugin_adds_what_bot_py_may_add(project: Project) -> None:
    """Processes, hooks, channels, watches: it has the bot at its import, before children start."""
    plugin = """
        from liteyuki_core import get_bot, get_channel, shared_memory

        bot = get_bot()
        bot.add_process("echo", "echoing:echo", args=("nonebot",))
        echo = get_channel("echo-active")

        @bot.on_before_start
        def before():
            print("before:", *bot.processes, flush=True)

        @shared_memory.watch("word")
        async def on_word(change):
            await echo.async_send(change.new)

        @bot.on_after_start
        async def after():
            await shared_memory.async_set("word", "hello")

        @echo.on_receive()
        def on_answer(answer):
            print("answer:", answer, flush=True)
            bot.stop()
    """
    echo = """
        from liteyuki_core.comm import active_channel

        def echo(name):
            for word in active_channel:
                active_channel.send(f"{word} from {name}")
    """
    files = {"plugins/talk.py": plugin, "echoing.py": echo}
    output = project.run(files, "load_plugin('plugins.talk')", stops=False)
    assert loaded(output) == ["talk"]
    assert "before: echo\n" in output
    assert "answer: hello from nonebot\n" in output
    assert output.index("plugin talk is loaded from plugins.talk") < output.index(
        "process echo started"
    )


def test_it_is_known_whose_function_it_is(project: Project) -> None:
    """While a plugin is loaded, and afterwards by a function; of a package all modules count."""
    asks = "from liteyuki_core.plugin import loading_plugin, plugin_of\n"
    files = {
        "plugins/one/__init__.py": asks
        + "from .inner import inner\nprint('loading', loading_plugin(), plugin_of(inner))\n",
        "plugins/one/inner.py": "def inner(): ...\n",
        "plugins/two.py": asks
        + """
from functools import partial, wraps
from liteyuki_core import require

one = require("one")
print("loading", loading_plugin())

class Callable:
    def __call__(self): ...
    def method(self): ...

@wraps(one.inner)
def wrapped(): ...

functions = [wrapped, partial(one.inner), Callable(), Callable().method, lambda: 0, print]
""",
    }
    lines = """
        from liteyuki_core.plugin import loading_plugin, plugin_of
        two = load_plugins("plugins")[1].module
        print("whose", *[getattr(plugin_of(f), "name", None) for f in two.functions])
        print("then", loading_plugin(), plugin_of(load_plugin))
    """
    output = project.run(files, lines)
    assert re.findall(r"^(?:loading|whose|then) .*", output, re.MULTILINE) == [
        "loading one None",
        "loading two",
        "whose one one two two two None",
        "then None None",
    ]


def test_a_plugin_that_stops_the_bot(project: Project) -> None:
    """The others are loaded, no child is started, and it ends as after any stop."""
    files = {
        "one.py": "from liteyuki_core import get_bot\nget_bot().stop()\n",
        "two.py": "from liteyuki_core import get_bot\nget_bot().add_process('x', 'two:x')\n",
    }
    output = project.run(files, plugins="one,two")
    assert loaded(output) == ["one", "two"]
    assert "process x" not in output


@pytest.mark.parametrize(("argument", "code"), [("7", 7), ("'no token'", 1), ("", 0)])
def test_a_plugin_that_ends_the_process(project: Project, argument: str, code: int) -> None:
    """One line says which. Nothing else is loaded or started."""
    files = {"one.py": f"import sys\nsys.exit({argument})\n", "two.py": TELLS}
    lines = "bot.add_process('x', 'two:x')"
    output = project.run(files, lines, code, plugins="one,two")
    assert errors(output) == [f"plugin one ends the main process: SystemExit({argument})"]
    assert not re.search("here is|process x|Traceback", output)


def test_one_that_was_broken_off_is_tried_again(project: Project) -> None:
    """What ends the process may be caught; then nothing is known of the plugin."""
    files = {
        "one.py": "from liteyuki_core import require\nrequire('two')\n" + TELLS,
        "two.py": "import marks\nif not marks.seen:\n    raise SystemExit(7)\n" + TELLS,
        "marks.py": "seen = False\n",
    }
    lines = """
        import marks
        try:
            load_plugin("one")
        except SystemExit as error:
            marks.seen = error.code == 7
    """
    output = project.run(files, lines, plugins="one")
    assert told(output) == ["two", "one"]
    assert errors(output) == ["plugin two ends the main process: SystemExit(7)"]


# ------------------------------------------------------------- order


def test_they_are_loaded_as_listed_unless_one_requires_another(project: Project) -> None:
    """Modules before folders, a folder's by name; each is loaded once, when it is needed first."""
    files = {
        "last.py": TELLS,
        "pack/first.py": TELLS,
        "folder/b.py": TELLS,
        "folder/a.py": requires("d", "pack.first", "first"),
        "folder/c/__init__.py": requires("a"),
        "folder/d.py": TELLS,
        "folder/_hidden.py": TELLS,
        "folder/_hidden_too/__init__.py": TELLS,
        "folder/no_package/inner.py": TELLS,
        "folder/text.txt": "",
        "second/e.py": TELLS,
        "second/__init__.py": "",
    }
    output = project.run(files, plugins="folder.c,last", plugin_dirs="folder,second/")
    assert told(output) == ["d", "first", "a", "c", "last", "b", "e"]
    assert loaded(output) == told(output)
    assert errors(output) == []


def test_what_bot_py_loads_comes_first(project: Project) -> None:
    """What it requires may be one that is only listed, also in a folder, by its name alone."""
    files = {
        "own.py": requires("far", "listed"),
        "pack/listed.py": TELLS,
        "folder/far.py": TELLS,
        "folder/rest.py": TELLS,
    }
    lines = "assert load_plugin('own').name == 'own'\nassert require('own').__name__ == 'own'"
    output = project.run(files, lines, plugins="pack.listed", plugin_dirs="folder")
    assert told(output) == ["far", "listed", "own", "rest"]


def test_one_plugin_named_in_many_ways_is_loaded_once(project: Project) -> None:
    """By module, file, folder, an absolute path, a link, or an import of its module."""
    files = {"plugins/one.py": TELLS, "plugins/two/__init__.py": TELLS}
    lines = """
        import os
        from pathlib import Path

        import plugins.one
        one, two = load_plugins("plugins")
        assert one.module is plugins.one, one
        names = ["plugins.one", "plugins/one.py", "./plugins/../plugins/one.py", Path("plugins")]
        names[-1] = Path("plugins", "one.py").absolute()
        assert [load_plugin(name) for name in names] == [one] * 4
        names = ["plugins.two", "plugins/two", "plugins/two/", "plugins/two/__init__.py"]
        assert [load_plugin(name) for name in names] == [two] * 4
        assert [require("one"), require("plugins.one")] == [one.module] * 2
        assert list(bot.plugins.values()) == [one, two], bot.plugins
        assert (two.name, two.module_name) == ("two", "plugins.two")
        assert two.file == os.path.abspath("plugins/two/__init__.py")
    """
    output = project.run(files, lines, plugins="plugins.one,plugins.one", plugin_dirs="plugins")
    assert told(output) == ["one", "two"]
    assert len(re.findall("is loaded from", output)) == 2


def test_two_threads_load_one_plugin(project: Project) -> None:
    """It is loaded once, while the bot runs too; who comes second waits."""
    files = {
        "slow.py": "import time\ntime.sleep(0.2)\n" + TELLS,
        "also.py": requires("slow"),
    }
    lines = """
        import asyncio
        from liteyuki_core.plugin import loading_plugin

        @bot.on_after_start
        async def load():
            one = asyncio.to_thread(load_plugin, "also")
            two = asyncio.to_thread(require, "slow")
            found = await asyncio.gather(one, two)
            print("same:", found[1] is bot.plugins["slow"].module, loading_plugin())
            bot.stop()
    """
    output = project.run(files, lines, stops=False)
    assert sorted(told(output)) == ["also", "slow"]
    assert "same: True None" in output

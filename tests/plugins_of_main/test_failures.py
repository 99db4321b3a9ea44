"""Plugins that fail, are not there, or need each other in a circle: the others are loaded."""

from __future__ import annotations

import re

import pytest

from tests.plugins_of_main.project import TELLS, Project, errors, loaded, requires, told


def test_one_that_fails_is_reported_once(project: Project) -> None:
    """With its name and its own traceback; the others load, also after one that needs it."""
    files = {
        "plugins/__init__.py": "",
        "plugins/bad.py": "def fall():\n    raise RuntimeError('fallen')\n\nfall()\n",
        "plugins/good.py": TELLS,
        "plugins/needs_bad.py": requires("bad"),
        "plugins/may_use_bad.py": (
            "from liteyuki_core import require\ntry:\n    require('plugins.bad')\n"
            "except ImportError as error:\n    print('caught', error.plugin)\n"
        ),
    }
    lines = "assert load_plugin('plugins.bad') is None\n" * 2
    listed = "plugins.needs_bad,plugins.bad"
    output = project.run(files, lines, plugins=listed, plugin_dirs="plugins")
    assert loaded(output) == ["good", "may_use_bad"]
    assert "caught bad\n" in output
    assert errors(output) == [
        "plugin bad could not be loaded: RuntimeError: fallen",
        "plugin needs_bad could not be loaded: the required plugin bad could not be loaded; its "
        "own error is in the log above",
    ]
    first = output.split("Traceback (most recent call last):\n")[1].splitlines()
    place = project.folder / "plugins" / "bad.py"
    assert [line.strip() for line in first if line.startswith("  File")] == [
        f'File "{place}", line 4, in <module>',
        f'File "{place}", line 2, in fall',
    ]
    assert output.count("RuntimeError: fallen") == 2  # The line, and the end of the traceback.


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = (\n", "SyntaxError: .*line 1"),
        ("import no_such_thing\n", "ModuleNotFoundError: No module named 'no_such_thing'"),
        ("from liteyuki_core import no_such_name\n", "ImportError: cannot import name"),
        ("require('good')\n", "NameError: "),
        ("x = '\\0'\n\0", "(Syntax|Value)Error: "),
        ("from good import __name__ as x\nimport good.inner\n", "ModuleNotFoundError: "),
    ],
    ids=["syntax", "module", "name", "own name", "null", "inner"],
)
def test_what_is_wrong_in_a_plugin(project: Project, text: str, says: str) -> None:
    """Whatever it is, it is the plugin's error; the next one is loaded."""
    output = project.run({"bad.py": text, "good.py": TELLS}, plugins="bad,good")
    assert loaded(output) == ["good"]
    (error,) = errors(output)
    assert re.match(f"plugin bad could not be loaded: {says}", error)


@pytest.mark.parametrize(
    ("files", "circle"),
    [
        ({"a.py": requires("a")}, "a -> a"),
        ({"a.py": requires("b"), "b.py": requires("a")}, "a -> b -> a"),
        (
            {"a.py": requires("b"), "b.py": requires("c"), "c.py": requires("b")},
            "b -> c -> b",
        ),
        ({"a.py": "import b\n", "b.py": requires("a")}, "a -> a"),
    ],
)
def test_a_circle_is_named(project: Project, files: dict[str, str], circle: str) -> None:
    """Once. Those in it fail, with those that need them, and what stands outside is loaded."""
    output = project.run({**files, "z.py": TELLS}, plugins=",".join("abcz"))
    assert loaded(output)[-1] == "z"
    assert output.count(f"] plugin {circle.split(' ')[-3]} could not be loaded: ") == 1
    found = [e for e in errors(output) if "in a circle" in e]
    assert len(found) == 1
    assert found[0].endswith(f"in a circle: {circle}; take what both need into a third one")


@pytest.mark.parametrize(
    ("listed", "says"),
    [
        ("wether", "plugin wether: there is no module 'wether' in the folders of sys.path"),
        ("weather.rain", "plugin rain: there is no module 'weather.rain' in the folders of"),
        ("a..b", "plugin b: there is no module 'a..b' in"),
        (".weather", "plugin weather: there is no module '.weather' in"),
        ("__main__", "plugin __main__: there is no module '__main__' in"),
        ("plugins", "plugin plugins: 'plugins' is a folder without __init__.py; load_plugins"),
        ("plugins/", "plugin plugins: the folder 'plugins/' has no __init__.py; load_plugins"),
        ("plugins/rain.py", "plugin rain: there is no Python file 'plugins/rain.py' in "),
        ("plugins/text.txt", "plugin text.txt: there is no Python file 'plugins/text.txt' in "),
        ("plugins/a.b.py", "plugin a.b: no module can have the name of "),
    ],
)
def test_what_is_not_there(project: Project, listed: str, says: str) -> None:
    """One line says what was looked for, without a traceback."""
    files = {
        "weather.py": TELLS,
        "plugins/text.txt": "",
        "plugins/a.b.py": "",
    }
    output = project.run(files, plugins=f"{listed},weather")
    assert loaded(output) == ["weather"]
    (error,) = errors(output)
    assert error.startswith(says)
    assert "Traceback" not in output


def test_a_name_that_is_nearly_right(project: Project) -> None:
    """Who requires it is told what it may have meant."""
    files = {
        "folder/weather.py": TELLS,
        "one.py": requires("some.wether"),
        "two.py": requires("missing"),
    }
    output = project.run(files, plugins="one,two,pack.missing", plugin_dirs="folder")
    assert loaded(output) == ["weather"]
    one, two, missing = errors(output)
    assert one.endswith(
        "no module 'some.wether' in the folders of sys.path; did you mean 'weather'?"
    )
    for error in (two, missing):
        assert error.endswith("no module 'pack.missing' in the folders of sys.path")


def test_folders_that_are_none(project: Project) -> None:
    """Each is named, with the reason, and the others are read."""
    files = {"folder/weather.py": TELLS}
    output = project.run(files, plugin_dirs="no_folder,bot.py,folder")
    assert loaded(output) == ["weather"]
    for folder, error in zip(("no_folder", "bot.py"), errors(output), strict=True):
        where = f"no plugins are loaded from the folder {folder!r} in {project.folder}: "
        assert error.startswith(where)
        assert len(error) > len(where)


@pytest.mark.parametrize("text", [TELLS, "raise RuntimeError\n"], ids=["loaded", "failed"])
def test_two_plugins_of_one_name(project: Project, text: str) -> None:
    """The second is not loaded, whatever has become of the first; one line names both places."""
    files = {"one/weather.py": text, "two/weather.py": TELLS}
    output = project.run(files, plugin_dirs="one,two")
    places = [project.folder / folder / "weather.py" for folder in ("one", "two")]
    assert errors(output)[-1] == (
        f"plugin weather is not loaded from {places[1]}: a plugin of this name stands in "
        f"{places[0]}; rename one of them"
    )
    assert told(output) == (["weather"] if text == TELLS else [])


def test_what_was_loaded_by_hand_keeps_its_name(project: Project) -> None:
    """One that is listed under the same name comes too late; a require gets the first."""
    files = {
        "one/weather.py": TELLS,
        "two/weather.py": TELLS,
        "one/needs.py": requires("weather", "one.weather"),
    }
    lines = "load_plugin('two/weather.py')\nassert require('weather').__name__ == 'two.weather'"
    output = project.run(files, lines, plugin_dirs="one")
    assert loaded(output) == ["weather"]
    needs, weather = errors(output)
    for error in (needs, weather):
        assert "plugin weather is not loaded from " in error
    assert needs.startswith("plugin needs could not be loaded: ")


def test_a_module_and_a_package_of_one_name(project: Project) -> None:
    """Python takes the package; the file is named as what is not loaded."""
    files = {"plugins/one.py": TELLS, "plugins/one/__init__.py": TELLS}
    output = project.run(files, plugin_dirs="plugins")
    assert loaded(output) == ["one"]
    (error,) = errors(output)
    assert str(project.folder / "plugins" / "one.py") in error
    assert str(project.folder / "plugins" / "one" / "__init__.py") in error


def test_a_package_above_a_plugin(project: Project) -> None:
    """It is imported first. Where that fails it is the plugin's error; it may load the plugin."""
    files = {
        "bad/__init__.py": "raise RuntimeError('above')\n",
        "bad/one.py": TELLS,
        "bad/two.py": TELLS,
        "good/__init__.py": "from liteyuki_core import load_plugin\nload_plugin('good.two')\n",
        "good/two.py": TELLS,
    }
    output = project.run(files, plugins="bad.one,bad/one.py,good.two,bad/two.py")
    assert loaded(output) == ["two"]
    assert told(output) == ["two"]
    assert errors(output) == [
        "plugin one could not be loaded: RuntimeError: above",
        "plugin two is not loaded from bad/two.py: a plugin of this name stands in "
        f"{project.folder / 'good' / 'two.py'}; rename one of them",
    ]

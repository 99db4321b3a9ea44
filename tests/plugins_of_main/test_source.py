"""Paths of plugins: which module a file or a folder is, also where Python does not search.

Tests plugin/source.py.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from liteyuki_core.errors import PluginExists, PluginNotFound
from liteyuki_core.plugin.source import Place, locate, members, source_of
from tests.plugins_of_main.project import TELLS, Project, errors, loaded, told
from tests.program import unix, write_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, empty, which Python searches; modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    return tmp_path


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("weather", "weather"),
        ("plugins.weather", "weather"),
        ("plugins/weather.py", "weather"),
        ("weather.py", "weather"),
        ("plugins/weather/", "weather"),
        ("plugins/weather/__init__.py", "weather"),
        (Path("weather"), "weather"),
        (Path("plugins", "weather.py"), "weather"),
    ],
)
def test_names(given: str | Path, name: str) -> None:
    """A plugin's name is that of its module, or of its package."""
    assert source_of(given).name == name


def test_members_of_a_folder(folder: Path) -> None:
    """Modules and packages, by name; what is hidden or is neither is left out."""
    files = ("b.py", "a/__init__.py", "c/__init__.py", "_d.py", "__init__.py", "e/f.py", "g.txt")
    write_files(folder / "plugins", dict.fromkeys(files, ""))
    (folder / "plugins" / "h.py").mkdir()
    assert [source.name for source in members("plugins")] == ["a", "b", "c"]
    for wrong in ("nowhere", "plugins/b.py"):
        with pytest.raises(OSError, match=wrong):
            members(wrong)


def test_the_nearest_folder_that_python_searches(folder: Path) -> None:
    """A path below the working directory is a module below it; a nearer folder comes first."""
    write_files(folder, {"src/plugins/one.py": "", "src/plugins/two/__init__.py": ""})
    one, two = (str(folder / "src" / "plugins" / last) for last in ("one.py", "two"))
    two_file = os.path.join(two, "__init__.py")
    assert locate(source_of(one)) == Place("src.plugins.one", one)
    assert locate(source_of("src/plugins/two")) == Place("src.plugins.two", two_file)
    sys.path.append("src")
    assert locate(source_of(two)) == Place("plugins.two", two_file)
    assert locate(source_of(two_file)) == Place("plugins.two", two_file)


def test_a_folder_that_python_does_not_search(folder: Path) -> None:
    """It is put at the end of sys.path."""
    elsewhere = folder.parent / f"{folder.name}-elsewhere"
    write_files(elsewhere, {"some_plugin.py": "", "v1.0/other/__init__.py": ""})
    before = list(sys.path)
    found = locate(source_of(elsewhere / "some_plugin.py"))
    assert found == Place("some_plugin", str(elsewhere / "some_plugin.py"))
    assert sys.path == [*before, str(elsewhere)]
    assert locate(source_of(elsewhere / "v1.0" / "other")).module == "other"
    assert sys.path == [*before, str(elsewhere), str(elsewhere / "v1.0")]


def test_what_python_finds_first(folder: Path) -> None:
    """A file that another one hides is not loaded in its place, and no folder is added in vain."""
    elsewhere = folder.parent / f"{folder.name}-elsewhere"
    write_files(elsewhere, {"json.py": "", "a.b.py": ""})
    before = list(sys.path)
    with pytest.raises(PluginExists, match=r"json .*Python finds .* by the same name") as caught:
        locate(source_of(elsewhere / "json.py"))
    assert caught.value.plugin == "json"
    with pytest.raises(PluginNotFound, match="no module can have the name of"):
        locate(source_of(elsewhere / "a.b.py"))
    assert sys.path == before


def test_built_in_modules(folder: Path) -> None:
    """They have no file, and are themselves alone."""
    one, other = locate(source_of("sys")), locate(source_of("time"))
    assert (one.file, one.shown) == (None, "sys")
    assert one.is_same(one)
    assert not one.is_same(other)


@unix
def test_a_link_to_a_folder(project: Project) -> None:
    """What is in it is one plugin, by whatever way it is reached."""
    write_files(project.folder, {"real/one.py": TELLS})
    (project.folder / "link").symlink_to(project.folder / "real")
    output = project.run({}, plugins="link/one.py,link.one", plugin_dirs="real,link")
    assert loaded(output) == ["one"]
    assert told(output) == ["one"]
    assert errors(output) == []


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_child_can_import_what_stands_beside_a_plugin(project: Project, method: str) -> None:
    """Also where the plugin is in a folder that Python had not searched."""
    plugin = """
        from liteyuki_core import get_bot
        from _work import work

        bot = get_bot()
        bot.add_process("work", work)
        bot.on_process_state(lambda name, state: state.value == "stopped" and bot.stop())
    """
    work = "def work():\n    print('works as', __name__)\n"
    files = {"../far/it.py": plugin, "../far/_work.py": work}
    project = Project(project.folder / "project", project.environment)
    output = project.run(files, stops=False, plugin_dirs="../far", start_method=method)
    assert loaded(output) == ["it"]
    assert "works as _work\n" in output

"""Which files a process has loaded: places, and what is near them."""

from __future__ import annotations

import os
import sys
from importlib.util import LazyLoader, module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from liteyuki_core.process import sources
from tests.program import write_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that modules can be imported from; what was imported is forgotten afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sources, "_noted", set())
    for name in ("loaded_one", "loaded_package", "loaded_package.inner", "loaded_later"):
        monkeypatch.setitem(sys.modules, name, None)  # So that it is put back.
        monkeypatch.delitem(sys.modules, name)
    files = {
        "single/loaded_one.py": "",
        "loaded_package/__init__.py": "",
        "loaded_package/inner.py": "",
        "loaded_later.py": "raise RuntimeError('it is loaded now')",
    }
    write_files(tmp_path, files)
    return tmp_path


def compare(folder: Path, *paths: str) -> tuple[list[str], list[str]]:
    """Return which paths are loaded and which are near, as they were given."""
    places = {sources.place(folder / path): path for path in paths}
    had, near = sources.compare(places)
    return [places[path] for path in had], [places[path] for path in near]


def test_a_module_and_what_is_beside_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loaded: the file, and its folder should that go. Near: its neighbours, none below those."""
    monkeypatch.syspath_prepend(folder / "single")
    __import__("loaded_one")
    paths = ("single/loaded_one.py", "single", "single/new.py", "single/deep/new.py", "new.py")
    assert compare(folder, *paths) == (["single/loaded_one.py", "single"], ["single/new.py"])


def test_a_package_and_what_is_in_it(folder: Path) -> None:
    """Near is whatever is below it."""
    __import__("loaded_package.inner")
    paths = ("loaded_package/inner.py", "loaded_package/deep/new.py", "loaded_package2/x.py")
    assert compare(folder, *paths) == (
        ["loaded_package/inner.py"],
        ["loaded_package/deep/new.py"],
    )


def test_what_was_noted(folder: Path) -> None:
    """A noted file counts whether it is there or not; what is below a noted folder is near."""
    sources.note(folder / ".env", folder / "plugins")
    paths = (".env", ".env.prod", "plugins/one.py", "plugins/deep/two.py", "plugins.py")
    assert compare(folder, *paths) == (
        [".env"],
        ["plugins/one.py", "plugins/deep/two.py"],
    )
    below = [path for path in paths if sources.is_of_noted(sources.place(folder / path))]
    assert below == [".env", "plugins/one.py", "plugins/deep/two.py"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need a privilege there")
def test_a_folder_by_another_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module loaded through a link to its folder is known by either path."""
    os.symlink(folder / "single", folder / "link")
    monkeypatch.syspath_prepend(folder / "link")
    __import__("loaded_one")
    assert compare(folder, "single/loaded_one.py") == (["single/loaded_one.py"], [])
    assert compare(folder, "link/loaded_one.py") == (["link/loaded_one.py"], [])


def test_a_lazy_module_stays_lazy(folder: Path) -> None:
    """Looking at a module does not load it."""
    spec = spec_from_file_location("loaded_later", folder / "loaded_later.py")
    assert spec is not None
    assert spec.loader is not None
    spec.loader = LazyLoader(spec.loader)
    module = sys.modules["loaded_later"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert compare(folder, "loaded_later.py") == (["loaded_later.py"], [])
    with pytest.raises(RuntimeError, match="it is loaded now"):
        module.anything  # noqa: B018

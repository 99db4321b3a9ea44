"""What other nodes may have called in a worker.

Tests process/child/reachable.py.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from liteyuki_core.process.child.reachable import NotReachable, checked, find
from tests.children import reached

HERE = "tests.children.reached"


@pytest.mark.parametrize("modules", [[HERE], ["tests"], ["tests.children"]])
def test_own_functions(modules: list[str]) -> None:
    """Of a module that is named, or is in a package that is."""
    assert find(f"{HERE}:add", "render", modules) is reached.add
    assert find(f"{HERE}:add_async", "render", modules) is reached.add_async
    assert find(f"{HERE}:cached", "render", modules)(3) == 3
    assert find(f"{HERE}:Job.name", "render", modules)() == "Job"
    assert find(f"{HERE}:Job.Inner.name", "render", modules)() == "Inner"


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "os.path.join",
        "getcwd",
        "shouts",
        "shouts_partly",
        "worked.add",
        "worked.os.system",
        "shared_memory.clear",
        "asyncio.run",
        "Job",
        "Job.exits",
        "Job.mro",
        "Job.Inner",
        "job",
        "job.name",
        "borrowed",
        "borrowed.func",
        "Borrowed",
        "Lent.fromkeys",
        "add.__call__",
        "add.__globals__.get",
        "Job.__init__",
        "Job.__subclasses__",
        "Job.__class__.mro",
        "cached.cache_clear",
        "whole",
        "whole.index",
        "__builtins__.get",
        "__import__",
    ],
)
def test_what_the_module_does_not_define(path: str) -> None:
    """It is refused, also where a function of the module would lead to it."""
    with pytest.raises(NotReachable):
        find(f"{HERE}:{path}", "render", [HERE])


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("os:system", "os"),
        ("tests.children.reaching:add", "tests.children.reaching"),
        ("tests.children:reached.add", "tests.children"),
        ("tests:x", "tests"),
        ("not.there:x", "not.there"),
    ],
)
def test_other_modules(path: str, module: str) -> None:
    """The refusal says what to write where."""
    with pytest.raises(NotReachable, match="where these workers are added") as raised:
        find(path, "render", [HERE])
    assert f"bot.add_workers('render', nodes_may_call=['{module}'])" in str(raised.value)


def test_none_by_default() -> None:
    """Then nothing may be called."""
    with pytest.raises(NotReachable):
        find(f"{HERE}:add", "render", [])


@pytest.mark.parametrize(
    "path",
    [
        "",
        ":",
        f"{HERE}",
        f"{HERE}:",
        ":add",
        f"{HERE}:add.",
        f"{HERE}:.add",
        f"{HERE}..:add",
        f".{HERE}:add",
        f"{HERE}:x.py:add",
        f"{HERE}:../evil.py",
        f"{HERE}:job.evil.py/x.py",
        f"{HERE}.__main__:add",
        f"{HERE}:add\n",
        None,
        3,
        b"tests:add",
        ["tests:add"],
    ],
)
def test_what_is_no_path(path: Any) -> None:
    """It is refused before anything is looked up."""
    with pytest.raises(NotReachable, match=r"paths like 'package\.module:function'"):
        find(path, "render", [HERE, "tests"])


def test_a_file_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that ends like a file's is the name of a function that is not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{HERE}:add.py").write_text("raise SystemExit(1)")
    with pytest.raises(NotReachable):
        find(f"{HERE}:add.py", "render", [HERE])


def test_nothing_is_imported_to_find_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is not named stays as it is: an import runs its code."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "strange_module.py").write_text("def f(): pass")
    with pytest.raises(NotReachable):
        find("strange_module:f", "render", ["strange", "strange_modules"])
    assert "strange_module" not in sys.modules


def test_what_is_not_there() -> None:
    """The error is that of Python."""
    with pytest.raises(AttributeError):
        find(f"{HERE}:nothing", "render", [HERE])
    with pytest.raises(ModuleNotFoundError):
        find("tests.nothing:f", "render", ["tests"])


def test_modules_as_a_user_names_them() -> None:
    """Any collection of them, with all that is there."""
    assert checked(()) == ()
    assert checked({"a.b"}) == ("a.b",)
    assert checked(["a", "b.c"]) == ("a", "b.c")

"""Whether a child can run a target of a test: it imports the target's module and looks it up.

A child does not get the function itself. It gets the names of a module and of what stands in it.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib.machinery import PathFinder
from typing import Any

from ..errors import ProcessStartError

_HOW = (
    "the child imports the module of its target and looks the name up there, so write the target "
    "as a `def` at the top of the test file, or of a module beside it, and give it what it needs "
    "as args"
)


def check_target(process: str, target: Any, *, by_name: bool) -> None:
    """Raise `ProcessStartError`, with what to do, for a target that no child can import.

    `by_name` says that test files can be imported by their names, as they can in most import modes
    of pytest.
    """
    __tracebackhide__ = True
    while isinstance(target, partial):
        target = target.func
    name = getattr(target, "__qualname__", None)
    module = getattr(target, "__module__", None)
    if isinstance(target, str) or not isinstance(name, str) or not isinstance(module, str):
        return  # `add_process` knows what else it can be.
    if "<lambda>" in name:
        raise _error(process, f"its target is a lambda, which has no name: {_HOW}")
    if "<locals>" in name:
        raise _error(process, f"its target {name} stands inside a function: {_HOW}")
    if module == "__main__":
        raise _error(
            process,
            f"its target {name} stands in the file that Python was started with, and a child does "
            f"not run that: put it into a module that can be imported. {_HOW[0].upper()}{_HOW[1:]}",
        )
    if _found(module, name) is not target:
        raise _error(process, f"{module}.{name} is something else than its target: {_HOW}")
    if not by_name and not _is_importable(module):
        raise _error(
            process,
            f"its target stands in {module}, and pytest runs with --import-mode=importlib: another "
            "process finds no file, or another one, by that name. Write the target into a module "
            "of the project with a name of its own, or run pytest in another import mode",
        )


def _error(process: str, why: str) -> ProcessStartError:
    return ProcessStartError(f"process {process}: {why}", process)


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _is_importable(module: str) -> bool:
    """Return whether its own file is found by a module's name in `sys.path`. Imports nothing."""
    folders: Any = None
    name = ""
    spec = None
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        spec = PathFinder.find_spec(name, folders)
        if spec is None:
            return False
        folders = spec.submodule_search_locations
    own = getattr(sys.modules.get(module), "__file__", None)
    return spec is not None and spec.origin == own

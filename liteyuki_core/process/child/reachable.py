"""Which functions of a worker other nodes of a cluster may call.

Who can log in to the cluster's server could else have anything called that Python can import. So
nothing is imported before its module is known to be one of those that the user has named, and only
what these modules define themselves is found in them. Pure, but for the imports.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any

_WHERE = "bot.add_workers({pool!r}, nodes_may_call=[{module!r}])"


class NotReachable(Exception):
    """Other nodes may not call this. The text says why."""


def checked(modules: object) -> tuple[str, ...]:
    """Return the modules that a user has named. Raises `TypeError` or `ValueError`."""
    if isinstance(modules, str) or not isinstance(modules, Collection):
        raise TypeError(
            f"nodes_may_call is a list of modules, such as ['myproject.jobs'], not {modules!r}"
        )
    for each in modules:
        if not isinstance(each, str) or not all(map(str.isidentifier, each.split("."))):
            raise ValueError(
                f"nodes_may_call has {each!r}, which names no module; write 'package.module'"
            )
    return tuple(modules)


def find(path: object, pool: str, modules: Collection[str]) -> Callable[..., Any]:
    """Return the function of `path`, "package.module:function", for another node.

    `modules` are what the workers `pool` were added with. Raises `NotReachable`, `AttributeError`,
    and what the import of the module raises.
    """
    module, _, name = path.partition(":") if isinstance(path, str) else ("", "", "")
    parts = (*module.split("."), *name.split("."))
    if not all(part.isidentifier() and not part.startswith("__") for part in parts):
        raise NotReachable(
            "other nodes call functions by paths like 'package.module:function', without names "
            "that begin with two underscores"
        )
    if not _is_of(module, modules):
        where = _WHERE.format(pool=pool, module=module)
        raise NotReachable(
            f"other nodes may not call functions of module {module}; if they may, write {where} "
            "where these workers are added"
        )
    found: Any = import_module(module)
    *classes, last = name.split(".")
    for each in classes:
        found = getattr(found, each)
        if not isinstance(found, type) or not _is_of(found.__module__, modules):
            raise NotReachable(_not_own(module, each))
    found = getattr(found, last)
    if not _is_function(found) or not _is_of(getattr(found, "__module__", None), modules):
        raise NotReachable(_not_own(module, last))
    return found  # type: ignore[no-any-return]


def _is_of(module: object, modules: Collection[str]) -> bool:
    """Return whether a module is one of these, or below one of them."""
    return isinstance(module, str) and any(
        module == each or module.startswith(f"{each}.") for each in modules
    )


def _is_function(found: object) -> bool:
    """Return whether it is a function or a method, also one that is cached or compiled.

    Other objects that can be called may do so by a method that their class has from elsewhere.
    """
    named = isinstance(getattr(found, "__qualname__", None), str)
    return named and callable(found) and not isinstance(found, type)


def _not_own(module: str, name: str) -> str:
    return (
        f"other nodes may call only functions, and static and class methods, that module {module} "
        f"or another one in nodes_may_call defines itself, and {name} is none"
    )

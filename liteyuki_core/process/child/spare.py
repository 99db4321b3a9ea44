"""What a spare process imports before its turn: the libraries that its predecessor has imported.

Only modules of installed packages, which do not change while the bot runs. Where a framework loads
modules in a way of its own, as NoneBot does plugins, it does so when it starts up.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable
from importlib import import_module
from importlib.machinery import ExtensionFileLoader, SourceFileLoader

_MOST_CHARACTERS = 256 * 1024
"""Of all names together."""


def imported() -> list[str]:
    """Return the modules of installed packages that this process has imported, in their order."""
    places = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
    names: list[str] = []
    characters = 0
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if name.endswith("__main__") or not isinstance(file, str):
            continue
        if not file.startswith(places) or not _is_usual(name):
            continue
        characters += len(name)
        if characters > _MOST_CHARACTERS:
            break
        names.append(name)
    return names


def _is_usual(name: str) -> bool:
    """Return whether Python itself has loaded a module and the packages that it is in."""
    while name:
        spec = getattr(sys.modules.get(name), "__spec__", None)
        if type(getattr(spec, "loader", None)) not in (SourceFileLoader, ExtensionFileLoader):
            return False
        name = name.rpartition(".")[0]
    return True


def preload(names: Iterable[str]) -> None:
    """Import these modules. What can't be imported yet is imported by whoever needs it."""
    for name in names:
        if name not in sys.modules:
            try:
                import_module(name)
            except Exception:  # Whatever a module raises that expects to be started up first.
                pass

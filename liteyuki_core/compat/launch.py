"""Runs a file as `python FILE` would, with the names of LiteyukiBot v6 in front of all others.

The folder `v6` goes to the front of `sys.path`, before the file's own folder: the checkout of a v6
bot has a folder `liteyuki` too. Child processes have the same `sys.path`, so they find the same.
"""

from __future__ import annotations

import os
import sys
from types import ModuleType

from . import v6


def launch(arguments: list[str]) -> None:
    """Run `arguments[0]` as this process's program, with the rest as its arguments."""
    path = arguments[0]
    sys.argv = list(arguments)
    sys.path[0] = os.path.dirname(os.path.abspath(path))  # Python has put the current folder there.
    sys.path.insert(0, v6.FOLDER)
    with open(path, "rb") as file:
        code = compile(file.read(), path, "exec")
    # Child processes import the main module again, by its file.
    main = ModuleType("__main__")
    main.__file__ = path
    sys.modules["__main__"] = main
    if "__mp_main__" in sys.modules:
        sys.modules["__mp_main__"] = main
    exec(code, main.__dict__)

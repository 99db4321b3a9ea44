"""The test kit for authors of plugins: fixtures of pytest, and the types that they give.

pytest loads `plugin.py` in every run where this package is installed, so nothing is imported before
a fixture is used, this package's own names included. Tests name these types in annotations only:
the fixtures make the objects.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .app import App as App
    from .mailbox import Mailbox as Mailbox
    from .onebot import OneBot as OneBot
    from .peer import Peer as Peer

_HOMES = {"App": "app", "Mailbox": "mailbox", "OneBot": "onebot", "Peer": "peer"}

__all__ = ["App", "Mailbox", "OneBot", "Peer"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

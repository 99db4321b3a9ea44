"""What may be asked of a running bot: functions, written once, and the API that serves them.

`Control` has the functions, for whoever is in the main process. The API is on the project's control
socket, `.liteyuki/control.sock`. Other processes of the same user reach it with a `Client`.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {"Client": "client", "ControlError": "client", "NoBot": "client", "Control": "control"}

__all__ = ["Client", "Control", "ControlError", "NoBot"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

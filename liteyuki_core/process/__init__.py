"""Child processes: the names for users."""

from .child.request import calls_ready, ready, request_restart
from .restart import RestartPolicy
from .state import ChildProcess, ProcessState

__all__ = [
    "ChildProcess",
    "ProcessState",
    "RestartPolicy",
    "calls_ready",
    "ready",
    "request_restart",
]

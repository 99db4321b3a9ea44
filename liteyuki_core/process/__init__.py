"""Child processes: the names for users."""

from .child.request import calls_ready, ready, request_restart, request_stop
from .child.turn import calls_loaded, loaded
from .program.ready import HttpOk, LogLine, TcpPort
from .program.spec import Line
from .restart import RestartPolicy
from .state import ChildProcess, ProcessState

__all__ = [
    "ChildProcess",
    "HttpOk",
    "Line",
    "LogLine",
    "ProcessState",
    "RestartPolicy",
    "TcpPort",
    "calls_loaded",
    "calls_ready",
    "loaded",
    "ready",
    "request_restart",
    "request_stop",
]

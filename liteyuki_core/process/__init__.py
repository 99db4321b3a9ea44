"""Child processes."""

from .restart import RestartPolicy
from .supervisor import ChildProcess, ProcessState

__all__ = ["ChildProcess", "ProcessState", "RestartPolicy"]

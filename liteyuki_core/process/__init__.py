"""Child processes."""

from .supervisor import ChildProcess, ProcessState

__all__ = ["ChildProcess", "ProcessState"]

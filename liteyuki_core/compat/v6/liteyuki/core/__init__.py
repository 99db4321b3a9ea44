"""Processes."""

from .manager import ProcessManager, sub_process_manager

__all__ = ["ProcessManager", "sub_process_manager"]

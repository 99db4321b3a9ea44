"""The log: one for all processes, set up by liteyuki_core."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liteyuki_core.log import logger

__all__ = ["init_log", "logger"]


def init_log(config: Mapping[str, Any]) -> None:
    """Change nothing: the settings LITEYUKI_LOG_LEVEL and the like say how the log is.

    v6's took every other sink away, also those of plugins.
    """

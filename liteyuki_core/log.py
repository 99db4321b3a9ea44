"""The log: a loguru logger of its own, with the line LiteyukiBot's users know.

It is not loguru's global logger, whose sinks NoneBot removes and replaces: nothing of ours
goes there, so no line is printed twice. It is made when it is first asked for, from the
environment; LiteyukiBot and the entry of a child process then `configure` it.
"""

from __future__ import annotations

import atexit
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from loguru import Logger, Record

    logger: Logger

LEVELS = {
    "TRACE": ("追踪", "🔍"),
    "DEBUG": ("调试", "🐛"),
    "INFO": ("信息", "ℹ️"),
    "SUCCESS": ("成功", "✅"),
    "WARNING": ("警告", "⚠️"),
    "ERROR": ("错误", "⭕"),
    "CRITICAL": ("严重", "❌"),
}


class LogConfig(NamedTuple):
    """How lines look and which are written; a plain value, so that children can be given it."""

    level: str = "INFO"
    icon: bool = True
    lang: str = "zh"


def from_environment() -> LogConfig:
    """Return what the LITEYUKI_LOG_ variables say; what is not allowed counts as not set.

    `Settings` is what complains about them.
    """
    level = os.environ.get("LITEYUKI_LOG_LEVEL", "").upper()
    icon = os.environ.get("LITEYUKI_LOG_ICON", "").lower()
    lang = os.environ.get("LITEYUKI_LOG_LANG", "").lower()
    return LogConfig(
        level if level in LEVELS else "INFO",
        icon not in ("0", "false", "no", "off"),
        "en" if lang == "en" else "zh",
    )


def configure(config: LogConfig) -> None:
    """Write lines to standard output as `config` says, from now on."""
    log = _get()
    log.remove()
    stream = sys.stdout
    if stream is None:  # A Windows program without a console.
        return
    icon = config.icon
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        "".join(text for level in LEVELS.values() for text in level).encode(encoding)
    except UnicodeEncodeError:
        icon = False
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")

    def line(record: Record) -> str:
        name = record["level"].name
        text, symbol = LEVELS.get(name, (name, ""))
        label = (symbol if icon else "") + (name if config.lang == "en" else text)
        return (
            "<green>{time:YYYY-MM-DD HH:mm:ss}</green> "
            f"<level>[{label}]</level> {{message}}\n{{exception}}"
        )

    log.add(stream, level=config.level, format=line, diagnose=False, backtrace=False)


_logger: Any = None


def _get() -> Any:
    global _logger
    if _logger is None:
        # loguru documents only deep copies of its logger for this, and a copy fails once a
        # stream is among the sinks; these two are what it makes its own logger of.
        private: Any = import_module("loguru._logger")
        _logger = private.Logger(
            core=private.Core(),
            exception=None,
            depth=0,
            record=False,
            lazy=False,
            colors=False,
            raw=False,
            capture=True,
            patchers=[],
            extra={},
        )
        atexit.register(_logger.remove)
        configure(from_environment())
    return _logger


def __getattr__(name: str) -> Any:
    if name == "logger":
        return _get()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

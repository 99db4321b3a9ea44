"""The log: a loguru logger of our own, with LiteyukiBot's format of lines.

It is not loguru's global logger, whose sinks NoneBot removes and replaces. Nothing of ours goes
to that one, so no line is printed twice. Our logger is made when it is first used, as the
environment says, and its sinks are removed at exit. LiteyukiBot and the entry of a child then
`configure` it. Any thread may log. The thread that logs writes its line to standard output; in
the main process, while LiteyukiBot runs, the `Writer` does that.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from . import language, record
from .record import plain as plain

if TYPE_CHECKING:
    from loguru import Logger, Message, Record

    logger: Logger
    """A loguru logger with LiteyukiBot's format of lines. From any process and thread."""

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
    """How lines look, and which are written. A plain value, so that children can be given it."""

    level: str = "INFO"
    icon: bool = True
    lang: str = "zh"
    json: bool = False
    """Whether standard output gets JSON."""
    both: bool = False
    """Whether the log file gets JSON where standard output gets lines, or the other way round."""
    colour: bool | None = None
    """None: standard output and the environment decide."""
    process: str | None = None
    """The name of the child that logs; None in the main process."""

    @property
    def file_json(self) -> bool:
        """Whether the log file gets JSON."""
        return self.json != self.both

    @property
    def records(self) -> bool:
        """Whether anybody gets JSON."""
        return self.json or self.both


class FileConfig(NamedTuple):
    """The log file, and how it is rotated, kept and compressed, in loguru's notation."""

    path: str
    rotation: str
    retention: str
    compression: str | None


def from_environment() -> LogConfig:
    """Return what the LITEYUKI_LOG_ variables say. A value that is not allowed counts as not set.

    `Settings` raises an error about such a value.
    """
    level = os.environ.get("LITEYUKI_LOG_LEVEL", "").upper()
    icon = os.environ.get("LITEYUKI_LOG_ICON", "").lower()
    json = os.environ.get("LITEYUKI_LOG_JSON", "").lower()
    return LogConfig(
        level if level in LEVELS else "INFO",
        icon not in ("0", "false", "no", "off"),
        language.from_environment(),
        json in ("1", "true", "yes", "on"),
    )


def configure(config: LogConfig) -> LogConfig:
    """From now on write lines as `config` says. Return it, adapted to what the output can show."""
    global _config
    log = _get()
    log.remove()
    config = _config = _suited(config)
    language.use(config.lang)

    def line(message: Record) -> str:
        if config.json and not config.both:
            return "{exception}"
        name = message["level"].name
        text, symbol = LEVELS.get(name, (name, ""))
        label = (symbol if config.icon else "") + (name if config.lang == "en" else text)
        shown = (
            "<green>{time:YYYY-MM-DD HH:mm:ss}</green> "
            f"<level>[{label}]</level> {{message}}\n{{exception}}"
        )
        return f"{{exception}}{record.CUT}{shown}" if config.both else shown

    log.add(
        _Sink(sys.stdout, config),
        level=config.level,
        format=line,
        colorize=config.colour,
        diagnose=False,
        backtrace=False,
    )
    return config


def _suited(config: LogConfig) -> LogConfig:
    """Return `config` adapted to standard output: no icons, colours or Chinese it can't show."""
    stream = sys.stdout
    if config.colour is None:
        config = config._replace(colour=not config.json and _shows_colours(stream))
        if config.colour and sys.platform == "win32":
            colorama: Any = import_module("colorama")
            colorama.just_fix_windows_console()
    if not _shows(stream, "".join(icon for _, icon in LEVELS.values())):
        config = config._replace(icon=False)
    if config.lang != "en" and not _shows(stream, "".join(name for name, _ in LEVELS.values())):
        config = config._replace(lang="en")
    return config


def _shows(stream: Any, text: str) -> bool:
    """Return whether a stream can show a text. One that can't gets ? for what it lacks."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        return False
    return True


def _shows_colours(stream: Any) -> bool:
    environ = os.environ
    if stream is None or environ.get("NO_COLOR"):  # https://no-color.org
        return False
    # To a program, PyCharm's console and terminals of Unix tools on Windows are pipes.
    known = "PYCHARM_HOSTED" in environ or (sys.platform == "win32" and "TERM" in environ)
    return known or bool(environ.get("FORCE_COLOR")) or bool(stream.isatty())


def divert(to: Callable[[str], str | None] | None) -> None:
    """Give each line to `to`, which must not wait. What it returns is written here."""
    global _divert
    _divert = to


_config = LogConfig()
_divert: Callable[[str], str | None] | None = None


class _Sink:
    """The logger's sink. Any thread may call it; loguru lets in one at a time."""

    def __init__(self, stream: Any, config: LogConfig) -> None:
        self._stream = stream
        self._config = config

    def write(self, message: Message) -> None:
        text = str(message)
        if self._config.records:
            text = record.of_message(message, self._config.process)
        if _divert is not None:
            text = _divert(text) or ""
        if text and self._stream is not None:  # None: a Windows program without a console.
            self._stream.write(text)
            self._stream.flush()


def take_in(other: Any, handler: int, line: str, **options: Any) -> None:
    """Replace a handler of another loguru logger by one that writes records.

    Does nothing where nobody gets JSON. `line` is the format of its lines for people, and `options`
    are passed to loguru's `add`.
    """
    config = _config
    if not config.records:
        return

    def write(message: Message) -> None:
        sys.stdout.write(record.of_message(message, config.process, module=message.record["name"]))

    other.remove(handler)
    options |= {"diagnose": False, "colorize": bool(config.colour)}
    if config.both:
        other.add(write, format="{exception}" + record.CUT + line, **options)
    else:
        other.add(write, format=lambda message: "{exception}", **options)


_logger: Any = None


def _get() -> Any:
    global _logger
    if _logger is None:
        _logger = new_logger()
        atexit.register(_logger.remove)
        configure(from_environment())
    return _logger


def new_logger() -> Any:
    """Return a loguru logger that has no sink and shares none with any other logger."""
    # loguru documents only a deep copy of its logger for this, and copying fails once a stream
    # is among the sinks. loguru makes its own logger of these two classes.
    private: Any = import_module("loguru._logger")
    return private.Logger(
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


def __getattr__(name: str) -> Any:
    if name == "logger":
        return _get()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

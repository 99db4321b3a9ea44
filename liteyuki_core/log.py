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
import re
import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from . import language

if TYPE_CHECKING:
    from loguru import Logger, Message, Record

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

RECORD = "\x1e"
"""The first character of each line that a child's logger writes as JSON, as in RFC 7464."""


_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")


class LogConfig(NamedTuple):
    """How lines look, and which are written. A plain value, so that children can be given it."""

    level: str = "INFO"
    icon: bool = True
    lang: str = "zh"
    json: bool = False
    colour: bool | None = None
    """None: standard output and the environment decide."""
    process: str | None = None
    """The name of the child that logs; None in the main process."""


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

    def line(record: Record) -> str:
        if config.json:
            return "{exception}"
        name = record["level"].name
        text, symbol = LEVELS.get(name, (name, ""))
        label = (symbol if config.icon else "") + (name if config.lang == "en" else text)
        return (
            "<green>{time:YYYY-MM-DD HH:mm:ss}</green> "
            f"<level>[{label}]</level> {{message}}\n{{exception}}"
        )

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
        text: str | None
        text = as_json(message, self._config.process) if self._config.json else str(message)
        if _divert is not None:
            text = _divert(text)
        if text and self._stream is not None:  # None: a Windows program without a console.
            self._stream.write(text)
            self._stream.flush()


def as_json(message: Message, process: str | None, **more: Any) -> str:
    """Return a message as a line of JSON. The format of its sink must be "{exception}"."""
    import json

    record = message.record
    fields: dict[str, Any] = {
        "time": record["time"].isoformat(),
        "level": record["level"].name,
        "process": process or "main",
        **more,
        "message": record["message"],
    }
    if message:
        fields["exception"] = message.rstrip("\n")
    return ("" if process is None else RECORD) + json.dumps(fields, ensure_ascii=False) + "\n"


def line_as_json(process: str, text: str) -> str:
    """Return a child's line as JSON. A line that the child's logger wrote is JSON already."""
    import json
    from datetime import datetime

    if text.startswith(RECORD + "{"):
        try:
            json.loads(text[1:])
        except (ValueError, RecursionError):
            pass  # Another thread or program has written into the line.
        else:
            return text[1:] + "\n"
    fields = {
        "time": datetime.now().astimezone().isoformat(),
        "level": None,
        "process": process,
        "message": plain(text),
    }
    return json.dumps(fields, ensure_ascii=False) + "\n"


def plain(text: str) -> str:
    """Return a text without escape sequences of a terminal, such as colours."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def take_in(other: Any, handler: int, **options: Any) -> None:
    """Replace a handler of another loguru logger by one that writes JSON.

    Does nothing unless LITEYUKI_LOG_JSON is on. `options` are passed to loguru's `add`.
    """
    config = _config
    if not config.json:
        return

    def write(message: Message) -> None:
        sys.stdout.write(as_json(message, config.process, module=message.record["name"]))

    other.remove(handler)
    other.add(write, format=lambda record: "{exception}", diagnose=False, **options)


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

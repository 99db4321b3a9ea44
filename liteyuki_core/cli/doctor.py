"""`liteyuki doctor`: what keeps a bot from running here, and what to do about it.

Each check is a function that returns findings. It changes nothing, and asks nobody but the system
and the bot of this directory.
"""

from __future__ import annotations

import errno
import os
import platform
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import NamedTuple

from ..config import Settings, other_key, unknown_keys
from ..control import Client, ControlError, NoBot
from ..control.lines import masked
from ..errors import ConfigError
from ..process.project_lock import is_locked
from ..units import in_bytes
from ..version import __version__
from . import listener
from .group import as_json, liteyuki
from .output import FAILED, show, show_json
from .text import t

_PACKAGES = ("nonebot2", "nonebot-adapter-onebot", "fastapi", "uvicorn", "pydantic", "loguru")
_FEW_BYTES = 500 * 1024**2
_TOO_FEW_BYTES = 50 * 1024**2
_SECRETS = ("TOKEN", "SECRET", "PASSWORD", "KEY")

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}


class Finding(NamedTuple):
    """What was found: `ok`, `warning` or `wrong`, what it is about, and what to do, if anything."""

    level: str
    text: str
    advice: str = ""


@liteyuki.command(help=t("Look for what keeps a bot from running, and say what to do."))
@as_json
def doctor(as_json: bool) -> None:
    """Run all checks; the exit code says whether something is wrong."""
    pids = _bot_pids()
    found = [*_versions(), *_project(), *_settings(), *_disk(), *_bot(pids), *_port(pids)]
    if as_json:
        show_json([finding._asdict() for finding in found])
    else:
        for level, text, advice in found:
            mark, style = _MARKS[level]
            show(f"{mark} {text}", style if level != "ok" else "")
            if advice:
                show(f"  {advice}")
    if any(finding.level == "wrong" for finding in found):
        raise SystemExit(FAILED)


def _bot_pids() -> set[int]:
    """Return the processes of the bot that runs here."""
    try:
        status = Client().ask("GET", "/status")
    except (NoBot, ControlError):
        return set()
    return {status["pid"], *(p["pid"] for p in status["processes"] if p["pid"] is not None)}


def _versions() -> Iterator[Finding]:
    yield Finding("ok", f"Python {platform.python_version()} ({sys.platform}, {sys.executable})")
    found, missing = [f"liteyuki_core {__version__}"], []
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            missing.append(package)
    yield Finding("ok", ", ".join(found))
    if missing:
        yield Finding(
            "wrong",
            t("not installed: {packages}").format(packages=", ".join(missing)),
            f"{sys.executable} -m pip install {' '.join(missing)}",
        )
    if sys.platform != "win32" and find_spec("uvloop") is None:
        yield Finding(
            "warning",
            t("NoneBot's event loop will be asyncio's own"),
            t("uvloop is quicker: {command}").format(
                command=f"{sys.executable} -m pip install uvloop"
            ),
        )
    elif sys.platform != "win32":
        yield Finding("ok", t("NoneBot's event loop will be uvloop's"))


def _project() -> Iterator[Finding]:
    directory = os.getcwd()
    if not os.path.isfile("bot.py"):
        yield Finding(
            "warning",
            t("there is no bot.py in {directory}").format(directory=directory),
            t("go to the project's directory, or make a project: liteyuki init"),
        )
    if os.access(directory, os.W_OK | os.X_OK):
        yield Finding("ok", t("{directory} can be written to").format(directory=directory))
    else:
        yield Finding(
            "wrong",
            t("{directory} can't be written to").format(directory=directory),
            t("the bot keeps its lock and its control socket there: change its owner or mode"),
        )


def _settings() -> Iterator[Finding]:
    try:
        Settings.load()
        unknown = unknown_keys()
    except ConfigError as error:
        yield Finding("wrong", masked(str(error)))
        return
    yield Finding("ok", t("the settings are allowed: liteyuki config explain"))
    for line in unknown:
        yield Finding("warning", str(line))
    if sys.platform == "win32":
        return
    for name in sorted(os.listdir(".")):
        if (name != ".env" and not name.startswith(".env.")) or name == ".env.example":
            continue
        mode = stat.S_IMODE(os.stat(name).st_mode)
        if mode & 0o077 and _has_secret(name):
            yield Finding(
                "warning",
                t("other users can read {file}, which has secrets").format(file=name),
                f"chmod 600 {name}",
            )


def _has_secret(name: str) -> bool:
    try:
        with open(name, encoding="utf-8", errors="replace") as file:
            lines = [line.strip().upper() for line in file]
    except OSError:
        return False
    return any(
        word in key and value.strip()
        for key, _, value in (line.partition("=") for line in lines if not line.startswith("#"))
        for word in _SECRETS
    )


def _disk() -> Iterator[Finding]:
    free = shutil.disk_usage(".").free
    level = "wrong" if free < _TOO_FEW_BYTES else "warning" if free < _FEW_BYTES else "ok"
    advice = "" if level == "ok" else t("the log and the store need space: make some")
    yield Finding(level, t("{free} are free on this disk").format(free=in_bytes(free)), advice)


def _bot(pids: set[int]) -> Iterator[Finding]:
    if pids:
        yield Finding("ok", t("a bot runs here: liteyuki status"))
    elif is_locked():
        yield Finding(
            "warning",
            t("a bot runs here, but its control socket does not answer"),
            t("see its log: LITEYUKI_CONTROL may be false, or the bot hangs"),
        )
    else:
        yield Finding("ok", t("no bot runs here"))


def _port(pids: set[int]) -> Iterator[Finding]:
    host, text = other_key("HOST") or "127.0.0.1", other_key("PORT") or "8080"
    if not text.isdigit() or not 0 < int(text) < 65536:
        yield Finding("wrong", t("PORT={port} is no port").format(port=text))
        return
    port = int(text)
    address = f"{host}:{port}"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            if sys.platform != "win32":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            probe.listen(1)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EACCES) or (
            error.errno == errno.EACCES and sys.platform != "win32"
        ):
            yield Finding(
                "wrong",
                t("nobody can listen on {address}: {error}").format(address=address, error=error),
            )
            return
        owner = listener.of(port)
        if owner is not None and owner.pid in pids:
            yield Finding("ok", t("this bot listens on {address}").format(address=address))
            return
        text = t("{address} is taken").format(address=address)
        if owner is not None:
            text = t("{address} is taken by {name}, pid {pid}").format(
                address=address, name=owner.name, pid=owner.pid
            )
        yield Finding("wrong", text, t("end that program, or set another PORT in .env"))
    else:
        yield Finding("ok", t("{address} is free").format(address=address))

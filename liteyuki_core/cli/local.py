"""The commands that need no running bot: `run` and `config explain`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import click

from .. import files
from ..config import Settings
from ..control import Client, ControlError, NoBot
from ..control.address import FOLDER, make_folder
from . import output
from .group import as_json, liteyuki, timeout_option
from .output import DOWN, console, show, show_json, waiting
from .text import t

LOG = os.path.join(FOLDER, "bot.log")
START = os.path.join(FOLDER, "start.log")
_COMPAT = "liteyuki_core.compat"
"""Runs a file with the names of LiteyukiBot v6. By its name: it is on this floor."""
_LAST_CHARACTERS = 4000
_ENDS_SECONDS = 3.0
"""A bot whose processes have all failed ends by itself within this time."""


@liteyuki.command(help=t("Start the bot: run FILE, which is bot.py if not given."))
@click.argument("file", default="bot.py")
@click.option(
    "-d",
    "--detach",
    is_flag=True,
    help=t("In the background; return when its processes run."),
)
@click.option(
    "--v6",
    is_flag=True,
    help=t("With the names of LiteyukiBot v6, as LITEYUKI_V6_COMPAT has it."),
)
@timeout_option
@as_json
def run(file: str, detach: bool, v6: bool, timeout: float, as_json: bool) -> None:
    """Run a bot.py, in this terminal or in the background."""
    if not os.path.isfile(file):
        text = t("there is no file {file} in {directory}")
        output.fail(text.format(file=file, directory=os.getcwd()))
    command = [sys.executable, file]
    if v6:
        os.environ["LITEYUKI_V6_COMPAT"] = "true"
    if v6 or Settings.load().v6_compat:
        command[1:1] = ["-m", _COMPAT]
    if detach:
        _detach(command, timeout, as_json)
    elif sys.platform == "win32":  # There a replaced process would leave the terminal at once.
        sys.exit(subprocess.call(command))
    else:
        sys.stdout.flush()
        os.execv(sys.executable, command)


def _detach(command: list[str], timeout: float, as_json: bool) -> None:
    settings = Settings.load()
    if not settings.control:
        output.fail(
            t("LITEYUKI_CONTROL is false: without the control socket nobody sees when it runs")
        )
    running = status_now()
    if running is not None:
        output.fail(t("a bot runs here already, with pid {pid}").format(pid=running["pid"]))
    make_folder()
    log = settings.log_file or LOG
    flags: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        flags = {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    with open(START, "wb", opener=files.open_private) as errors:
        process = subprocess.Popen(
            command,
            # A file of its own: it is rotated, and what a terminal would get is nobody's.
            env={**os.environ, "LITEYUKI_LOG_FILE": log},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            **flags,
        )
    with waiting(t("waiting for the bot's processes ...")):
        found = _until_it_runs(process, time.monotonic() + timeout)
    path = os.path.abspath(log)
    if found is None or any(each["state"] == "starting" for each in found["processes"]):
        text = t("not all processes run after {timeout:g} s; the log: {path}")
        output.fail(text.format(timeout=timeout, path=path))
    if as_json:
        show_json({"pid": process.pid, "log": path, "ok": found["ok"]})
    elif found["ok"]:
        show(t("the bot runs (pid {pid}); its log: {path}").format(pid=process.pid, path=path))
    if not found["ok"]:
        output.fail(t("a process does not run; the log: {path}").format(path=path), DOWN)


def _until_it_runs(process: subprocess.Popen[bytes], deadline: float) -> Any:
    """Return the bot's status when its processes have started, or at the deadline.

    A bot whose processes have all failed ends, so one that is not well is looked at for longer.
    """
    found, began = None, time.monotonic()
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            with open(START, encoding="utf-8", errors="replace") as errors:
                text = t("the bot has ended with exit code {code}; it wrote:").format(code=code)
                output.fail(f"{text}\n{errors.read()[-_LAST_CHARACTERS:]}".rstrip())
        found = status_now()
        if found is not None and all(
            each["started_at"] is not None and each["state"] != "starting"
            for each in found["processes"]
        ):
            if found["ok"] or time.monotonic() > began + _ENDS_SECONDS:
                break
        else:
            began = time.monotonic()
        time.sleep(0.05)
    return found


def status_now() -> Any:
    """Return the status of the bot that runs here, or None, also if it ends just then."""
    try:
        return Client().ask("GET", "/status")
    except NoBot:
        return None
    except ControlError as error:
        if error.kind == "Gone":
            return None
        raise


@liteyuki.group(help=t("The settings."))
def config() -> None:
    """Group the commands about settings."""


@config.command(help=t("Show each setting and where it comes from."))
@as_json
def explain(as_json: bool) -> None:
    """Show the settings of the running bot, or those that it would start with."""
    try:
        found = Client().ask("GET", "/settings")
    except NoBot:
        from ..control.control import explained

        found = [each.model_dump() for each in explained(None)]
        if not as_json:
            output.warn(t("no bot runs here; it would start with these"))
    if as_json:
        show_json(found)
        return
    rows = []
    for each in found:
        source = each["source"] or t("default")
        if each["changed"]:
            source = t("{source}; another value from the next start on").format(source=source)
        rows.append([each["key"], _in_words(each["value"]), source])
    console.print(output.rows([t(head) for head in ("KEY", "VALUE", "FROM")], rows))


def _in_words(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)

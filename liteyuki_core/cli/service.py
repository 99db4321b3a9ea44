"""`liteyuki install-service` and `uninstall-service`: the system starts the bot of this directory.

On Linux it is a unit of the user's own systemd, on Windows a task of the user's.
"""

from __future__ import annotations

import getpass
import os
import re
import shlex
import shutil
import subprocess
import sys
from typing import Any

import click

from ..config import Settings
from ..control.address import FOLDER, make_folder
from . import output
from .group import as_json, liteyuki
from .local import status_now
from .output import show, show_json
from .text import t
from .unit import Service, directory_of, task_of, unit_of

_name_option = click.option(
    "--name", help=t("The service's name; made of the directory's if not given.")
)


@liteyuki.command("install-service", help=t("Have the system start the bot, and start it now."))
@click.argument("file", default="bot.py")
@_name_option
@click.option("--print", "prints", is_flag=True, help=t("Only show what would be written."))
@as_json
def install(file: str, name: str | None, prints: bool, as_json: bool) -> None:
    """Write a unit or a task, and tell the system of it."""
    _check_system()
    if not os.path.isfile(file):
        text = t("there is no file {file} in {directory}")
        output.fail(text.format(file=file, directory=os.getcwd()))
    path = os.environ.get("PATH", os.defpath)
    service = Service(_name(name), os.getcwd(), sys.executable, file, path)
    if sys.platform == "win32":
        text = task_of(service, f"{os.environ.get('USERDOMAIN', '.')}\\{getpass.getuser()}")
    else:
        text = unit_of(service, Settings.load().stop_timeout)
    if prints:
        show(text.rstrip("\n"))
        return
    runs = status_now() is not None
    if sys.platform == "win32":
        make_folder()
        written = os.path.join(os.getcwd(), FOLDER, "service.xml")
        with open(written, "w", encoding="utf-16") as opened:
            opened.write(text)
        commands = [["schtasks", "/Create", "/TN", service.name, "/XML", written, "/F"]]
        commands += [] if runs else [["schtasks", "/Run", "/TN", service.name]]
    else:
        written = _write_unit(service, text)
        now = [] if runs else ["--now"]
        commands = [_systemctl("daemon-reload"), _systemctl("enable", *now, _unit(service.name))]
    _tell(commands)
    if as_json:
        show_json({"name": service.name, "path": written, "started": not runs})
        return
    show(t("the service {name} is installed: {path}").format(name=service.name, path=written))
    if runs:
        show(t("a bot runs here already; the service starts the next one"))
    if sys.platform == "linux":
        show(t("it starts when you log in; with the machine after: loginctl enable-linger"))


@liteyuki.command("uninstall-service", help=t("Have the system start the bot no more."))
@_name_option
@as_json
def uninstall(name: str | None, as_json: bool) -> None:
    """Stop the service, and remove what was written for it."""
    _check_system()
    name = _name(name)
    if sys.platform == "win32":
        _tell([["schtasks", "/Delete", "/TN", name, "/F"]])
    else:
        path = _unit_path(name)
        _check_mine(name, path)
        if not os.path.exists(path):
            output.fail(t("there is no service {name}").format(name=name))
        _tell([_systemctl("disable", "--now", _unit(name))], otherwise=path)
        os.remove(path)
        _tell([_systemctl("daemon-reload")])
    if as_json:
        show_json({"name": name})
    else:
        show(t("the service {name} is removed").format(name=name))


def _check_system() -> None:
    if sys.platform not in ("linux", "win32"):
        output.fail(
            t("there are services for Linux and Windows alone: start it with `liteyuki run`")
        )


def _name(given: str | None) -> str:
    of = os.path.basename(os.getcwd()) if given is None else given
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", of).strip("-.") or "bot"
    return name if given is not None else f"liteyuki-{name}"


# ------------------------------------------------------------- systemd


def _systemctl(*arguments: str) -> list[str]:
    return ["systemctl", "--user", *arguments]


def _unit(name: str) -> str:
    return f"{name}.service"


def _unit_path(name: str) -> str:
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(config, "systemd", "user", _unit(name))


def _check_mine(name: str, path: str) -> None:
    """End with an error if a unit of this name is there that starts something else."""
    try:
        with open(path, encoding="utf-8") as file:
            directory = directory_of(file.read())
    except FileNotFoundError:
        return
    if directory != os.getcwd():
        text = t("the service {name} is for {directory}; choose another --name")
        output.fail(text.format(name=name, directory=directory or path))


def _write_unit(service: Service, text: str) -> str:
    path = _unit_path(service.name)
    _check_mine(service.name, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


# ------------------------------------------------------------- to the system


def _tell(commands: list[list[str]], otherwise: str | None = None) -> None:
    """Run commands one after another; if that can't be, say which are left to run, and end.

    `otherwise` is a file that is then to be removed by hand.
    """
    for number, command in enumerate(commands):
        why = _failure(command)
        if why is None:
            continue
        left = [shlex.join(each) for each in commands[number:]]
        if otherwise is not None:
            left.append(shlex.join(["rm", otherwise]))
        text = t("{why}; run this yourself: {commands}")
        output.fail(text.format(why=why, commands=" && ".join(left)))


def _failure(command: list[str]) -> str | None:
    if shutil.which(command[0]) is None:
        return t("{command} is not here").format(command=command[0])
    found: Any = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    if found.returncode == 0:
        return None
    return found.stdout.strip() or f"{command[0]}: {found.returncode}"

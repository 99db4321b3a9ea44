"""`liteyuki init`: a project that runs at once."""

from __future__ import annotations

import os

import click

from .. import files
from . import output
from .group import as_json, liteyuki
from .output import show, show_json
from .template import NAMES, template
from .text import LANGUAGE, t


@liteyuki.command(help=t("Make a project that runs at once."))
@click.argument("directory", default=".")
@click.option(
    "--template",
    "name",
    type=click.Choice(NAMES),
    default="nonebot",
    show_default=True,
    help=t("With NoneBot, or with a plain Python child."),
)
@as_json
def init(directory: str, name: str, as_json: bool) -> None:
    """Write the files of a new project; no file that is there is changed."""
    found = template(name, LANGUAGE)
    there = [path for path in found if os.path.lexists(os.path.join(directory, path))]
    if there:
        output.fail(t("there is {path} already; nothing was written").format(path=there[0]))
    for path, text in found.items():
        whole = os.path.join(directory, path)
        os.makedirs(os.path.dirname(whole) or ".", exist_ok=True)
        # A secret may be written into this one.
        opener = files.open_private if path == ".env" else None
        with open(whole, "x" if opener is None else "w", encoding="utf-8", opener=opener) as file:
            file.write(text)
    if as_json:
        show_json({"directory": os.path.abspath(directory), "files": list(found)})
        return
    for path in found:
        show(os.path.join(directory, path))
    where = "" if directory == "." else f"cd {directory}; "
    show(t("start it: {command}").format(command=f"{where}liteyuki run"))
    show(t("test it: {command}").format(command=f"{where}python -m pytest"))

"""The command that opens the web page of a running bot."""

from __future__ import annotations

import os
import sys
import webbrowser

import click

from ..control import Client
from .group import as_json, liteyuki
from .output import show, show_json
from .text import t


@liteyuki.command(help=t("Open the web page of the bot, and show a link to it."))
@click.option("--read-only", is_flag=True, help=t("The link is to let nobody change anything."))
@click.option("--no-browser", is_flag=True, help=t("Only show the link."))
@as_json
def web(read_only: bool, no_browser: bool, as_json: bool) -> None:
    """Ask the bot for a link, and open it."""
    found = Client().ask("POST", "/web", body={"read_only": read_only})
    if as_json:
        show_json(found)
        return
    show(found["url"])
    show(t("It works once, within {seconds:.0f} s.").format(seconds=found["seconds"]), "dim")
    if found["tunnel"] is not None:
        show(t("From another machine, run this there first:"))
        show(f"  {found['tunnel']}")
    if not no_browser and _has_screen():
        webbrowser.open(found["url"])


def _has_screen() -> bool:
    """Return whether a browser would be seen: a text browser would take the terminal instead."""
    if sys.platform in ("win32", "darwin"):
        return "SSH_CONNECTION" not in os.environ
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))

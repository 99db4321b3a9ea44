"""`liteyuki logs`: the last lines of the log, and those to come."""

from __future__ import annotations

import json
from typing import Any

import click

from ..control import Client
from . import output
from .completion import processes
from .following import follow
from .group import as_json, liteyuki
from .text import t

_LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")


@liteyuki.command(help=t("Show the last lines of the log."))
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=processes)
@click.option("-f", "--follow", "goes_on", is_flag=True, help=t("Go on with those to come."))
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 5000),
    default=100,
    show_default=True,
    help=t("How many lines."),
)
@click.option(
    "--level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    help=t("Only this level and above."),
)
@click.option("--grep", "text", metavar="TEXT", default="", help=t("Only lines with this text."))
@as_json
def logs(
    names: tuple[str, ...], goes_on: bool, lines: int, level: str | None, text: str, as_json: bool
) -> None:
    """Show lines of the log."""
    query: dict[str, Any] = {"lines": lines, "process": list(names), "text": text}
    if level is not None:
        query["level"] = level.upper()
    client = Client()
    for name in names:
        if name != "main":
            client.ask("GET", f"/processes/{name}")
    if not goes_on:
        for line in client.ask("GET", "/log", query=query):
            _show(line, as_json)
        return
    lost = t("{count} lines were lost: they came too quickly")
    follow("/log/follow", query, lambda line: _show(line, as_json), lost)


def _show(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
        return
    prefix = "" if line["process"] == "main" else f"{line['process']} | "
    output.show(prefix + line["text"], output.STYLES.get(line["level"] or "", ""))

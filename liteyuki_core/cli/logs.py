"""`liteyuki logs`: the last lines of the log, and those to come."""

from __future__ import annotations

import json
from typing import Any

import click

from ..control import Client
from . import output
from .group import as_json, liteyuki
from .text import t

_LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")


@liteyuki.command(help=t("Show the last lines of the log."))
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("-f", "--follow", is_flag=True, help=t("Go on with those to come."))
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
    names: tuple[str, ...], follow: bool, lines: int, level: str | None, text: str, as_json: bool
) -> None:
    """Show lines of the log."""
    query: dict[str, Any] = {"lines": lines, "process": list(names), "text": text}
    if level is not None:
        query["level"] = level.upper()
    client = Client()
    for name in names:
        if name != "main":
            client.ask("GET", f"/processes/{name}")
    if not follow:
        for line in client.ask("GET", "/log", query=query):
            _show(line, as_json)
        return
    try:
        for sent in client.follow("/log/follow", query=query):
            if sent.kind == "line":
                _show(sent.data, as_json)
            else:
                count = sent.data["lost"]
                output.warn(t("{count} lines were lost: they came too quickly").format(count=count))
    except KeyboardInterrupt:
        return
    output.warn(t("the bot has ended"))


def _show(line: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line, ensure_ascii=False))
        return
    prefix = "" if line["process"] == "main" else f"{line['process']} | "
    output.show(prefix + line["text"], output.STYLES.get(line["level"] or "", ""))

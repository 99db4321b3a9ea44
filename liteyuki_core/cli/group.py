"""The group that all commands are in, and the options that many have."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from .output import errors_are_said
from .text import t

as_json = click.option("--json", "as_json", is_flag=True, help=t("Write JSON."))
timeout_option = click.option(
    "--timeout",
    type=click.FloatRange(0, 86400),
    default=60.0,
    show_default=True,
    help=t("Seconds to wait."),
)


class _Group(click.Group):
    """Says what goes wrong in any command."""

    def invoke(self, ctx: click.Context) -> Any:
        with errors_are_said():
            return super().invoke(ctx)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=t("Ask and command the LiteyukiBot of this directory."),
)
@click.option(
    "-C",
    "--directory",
    type=click.Path(exists=True, file_okay=False),
    help=t("The bot's directory; this one if not given."),
)
def liteyuki(directory: str | None) -> None:
    """Go to the bot's directory, before any command."""
    if directory is not None:
        os.chdir(directory)


def parsed(text: str) -> Any:
    """Return what a JSON text says, or end with a usage error."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(t("this is no JSON: {error}").format(error=error)) from None

"""`liteyuki tail`: the messages of a channel, as they are given to a process."""

from __future__ import annotations

import json
from typing import Any

import click

from ..units import in_bytes
from . import output
from .completion import channels
from .following import clock, follow
from .group import as_json, liteyuki
from .text import t


@liteyuki.command(help=t("Show the messages of a channel as they come, without what is in them."))
@click.argument("channel", shell_complete=channels)
@click.option("--bodies", is_flag=True, help=t("Also what messages say that are texts."))
@as_json
def tail(channel: str, bodies: bool, as_json: bool) -> None:
    """Show what each message is, and who has sent it to whom."""
    path, query = f"/channels/{channel}/tail", {"bodies": bodies}
    lost = t("{count} messages were not shown: they came too quickly")
    follow(path, query, lambda message: _show(message, as_json), lost)


def _show(message: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(message, ensure_ascii=False))
        return
    words = [
        clock(message["time"]),
        f"{message['sender'] or '-'} -> {message['receiver']}",
        f"#{message['number']}",
        *(in_bytes(message["size"]), message["form"]),
    ]
    if message["kind"] == "request":
        words.append(t("request"))
    if message["redelivered"]:
        words.append(t("again"))
    if message["body"] is not None:
        words.append(json.dumps(message["body"], ensure_ascii=False))
    output.show("  ".join(words), "yellow" if message["redelivered"] else "")

"""`liteyuki store`: keys of the shared store."""

from __future__ import annotations

import json
from typing import Any

import click

from ..control import Client
from ..units import in_bytes, in_words
from . import output
from .following import clock, follow
from .group import as_json, liteyuki, parsed
from .output import console, show, show_json
from .text import t


@liteyuki.group(help=t("Look at the shared store and change it."))
def store() -> None:
    """Group the commands about the store."""


@store.command("list", help=t("Show keys."))
@click.argument("prefix", default="")
@as_json
def list_(prefix: str, as_json: bool) -> None:
    """Show the keys that begin with a text."""
    found = Client().ask("GET", "/store", query={"prefix": prefix, "limit": 100_000})
    if as_json:
        show_json(found)
    elif not found:
        show(t("the store has no such keys"))
    else:
        rows = [
            [
                *(each["key"], in_bytes(each["size"]), in_words(each["expires_in"])),
                t("yes") if each["persistent"] else "-",
            ]
            for each in found
        ]
        heads = [t(head) for head in ("KEY", "SIZE", "EXPIRES", "KEPT")]
        console.print(output.rows(heads, rows, right="12"))


@store.command(help=t("Show the value of a key."))
@click.argument("key")
@as_json
def get(key: str, as_json: bool) -> None:
    """Show one value, as JSON."""
    found: Any = Client().ask("GET", f"/store/{key}")
    if as_json:
        show_json(found)
    elif found["plain"]:
        show(json.dumps(found["value"], ensure_ascii=False, indent=2))
    else:
        text = t(
            "the value of {key} is {size} bytes that are no plain data; nothing is rebuilt here"
        )
        output.fail(text.format(key=key, size=found["size"]))


@store.command("set", help=t("Set a key to JSON."))
@click.argument("key")
@click.argument("value", metavar="JSON")
@click.option("--ttl", type=float, help=t("Seconds after which the key is gone."))
@as_json
def set_(key: str, value: str, ttl: float | None, as_json: bool) -> None:
    """Set one key."""
    body = {"value": parsed(value), "ttl": ttl}
    found = Client().ask("PUT", f"/store/{key}", body=body)
    if as_json:
        show_json(found)
    else:
        show(t("the key {key} is set").format(key=key))


@store.command(help=t("Delete a key."))
@click.argument("key")
@as_json
def delete(key: str, as_json: bool) -> None:
    """Delete one key."""
    found = Client().ask("DELETE", f"/store/{key}")
    if as_json:
        show_json(found)
    elif found["existed"]:
        show(t("the key {key} is deleted").format(key=key))
    if not found["existed"]:
        output.fail(t("the store has no key {key}").format(key=key))


@store.command(help=t("Show keys as they change."))
@click.argument("prefix", default="")
@as_json
def watch(prefix: str, as_json: bool) -> None:
    """Show changes of the keys that begin with a text."""
    lost = t("{count} changes were not shown: they came too quickly")
    follow("/store-changes", {"prefix": prefix}, lambda change: _show(change, as_json), lost)


def _show(change: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(change, ensure_ascii=False))
        return
    when, key = clock(change["time"]), change["key"]
    if change["expired"]:
        text, style = t("{key} has expired"), "dim"
    elif change["deleted"]:
        text, style = t("{key} is deleted"), "dim"
    elif change["plain"]:
        text, style = "{key} = {value}", ""
    else:
        text, style = t("{key} is set to {size} that are no plain data"), ""
    value, size = json.dumps(change["value"], ensure_ascii=False), in_bytes(change["size"])
    show(f"{when}  {text.format(key=key, value=value, size=size)}", style)

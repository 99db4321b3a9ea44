"""The commands about a whole cluster: its nodes, and the accounts of all of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from rich.text import Text

from ..control import Client
from ..units import in_words
from . import output
from .group import as_json, liteyuki
from .output import DOWN, console, show, show_json
from .text import t

MISSING = {"offline": "red", "disconnected": "yellow"}
"""The states of an account that is not online, and their colours."""

_DOWN = ("failed", "backoff")


@liteyuki.command(help=t("Show the nodes of the cluster, and how they are."))
@as_json
def nodes(as_json: bool) -> None:
    """Show all nodes; the exit code says whether something is down on one of them."""
    found = Client().ask("GET", "/nodes")
    if as_json:
        show_json(found)
    elif not found:
        show(t("this bot is in no cluster: LITEYUKI_NATS_URL is not set"))
    else:
        heads = [t(head) for head in ("NODE", "THIS", "STATE", "PROCESSES", "ACCOUNTS")]
        console.print(output.rows(heads, [_node(each) for each in found], styled=2, right="34"))
        for line in troubles_of(found):
            console.print(line)
    if not all(each["ok"] for each in found):
        raise SystemExit(DOWN)


def _node(node: dict[str, Any]) -> list[str]:
    return [
        node["name"],
        t("yes") if node["this"] else "-",
        t(node["state"]),
        _part(node["processes"], "running"),
        _part(node["accounts"], "online"),
    ]


def _part(found: list[dict[str, Any]], state: str) -> str:
    """Return how many of something are in a state, and how many there are."""
    return f"{sum(each['state'] == state for each in found)}/{len(found)}" if found else "-"


def other_lines(others: list[dict[str, Any]]) -> list[Text]:
    """Return what the status of a bot says about the other nodes of its cluster."""
    if not others:
        return []
    runs = sum(each["state"] == "running" for each in others)
    summary = t("other nodes: {count} of {all} run: liteyuki nodes")
    return [*troubles_of(others), Text(summary.format(count=runs, all=len(others)), "dim")]


def troubles_of(found: list[dict[str, Any]]) -> list[Text]:
    """Return what is wrong on nodes, a line each."""
    lines: list[Text] = []
    for node in found:
        name = node["name"]
        if node["state"] == "gone":
            line = t("node {node}: gone for {time}")
            time = in_words(seconds_since(node["seen"]))
            lines.append(Text(line.format(node=name, time=time), "red"))
        for process in node["processes"]:
            if process["state"] in _DOWN:
                line = t("node {node}: {name} is {state}")
                state = t(process["state"])
                lines.append(Text(line.format(node=name, name=process["name"], state=state), "red"))
        for account in node["accounts"] if node["state"] == "running" else ():
            if account["state"] in MISSING:
                line = t("node {node}: {what}").format(node=name, what=not_online(account))
                lines.append(Text(line, MISSING[account["state"]]))
    return [Text(output.without_controls(line.plain), line.style) for line in lines]


@liteyuki.command(help=t("Show the accounts, in a cluster those of all nodes."))
@as_json
def accounts(as_json: bool) -> None:
    """Show all accounts; the exit code says whether one is not online."""
    found = Client().ask("GET", "/accounts")
    if as_json:
        show_json(found)
    elif not found:
        show(t("no account was online here yet"))
    else:
        clustered = any(each["node"] is not None for each in found)
        heads = ["ACCOUNT", "STATE", "TIME", "ADAPTER", "PROCESS", *["NODE"][: int(clustered)]]
        rows = [_account(each)[: len(heads)] for each in found]
        console.print(output.rows([t(head) for head in heads], rows, styled=1))
    if any(each["state"] in MISSING for each in found):
        raise SystemExit(DOWN)


def _account(account: dict[str, Any]) -> list[str]:
    return [
        called(account),
        t(account["state"]),
        in_words(seconds_since(account["since"])),
        account["adapter"],
        account["process"],
        account["node"] or "-",
    ]


def called(account: dict[str, Any]) -> str:
    """Return what people call an account."""
    nickname, id = account["nickname"], account["id"]
    return f"{nickname} ({id})" if nickname else str(id)


def not_online(account: dict[str, Any]) -> str:
    """Return a line about an account that is not online."""
    return t("account {name} ({adapter}, {process}): {state} for {time}").format(
        name=called(account),
        adapter=account["adapter"],
        process=account["process"],
        state=t(account["state"]),
        time=in_words(seconds_since(account["since"])),
    )


def seconds_since(time: str) -> float:
    """Return how long ago a time is that the API has given."""
    then = datetime.fromisoformat(time.replace("Z", "+00:00"))  # For Python 3.10.
    return max(0.0, (datetime.now(timezone.utc) - then).total_seconds())

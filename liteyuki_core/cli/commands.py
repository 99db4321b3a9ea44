"""The commands that ask a running bot: about processes, channels and dead letters."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import Any

import click
from rich.console import Group
from rich.live import Live
from rich.text import Text

from ..control import Client
from ..process.project_lock import is_locked
from ..units import in_bytes, in_words
from . import output
from .completion import channels as channel_names
from .completion import node_option, processes
from .group import as_json, liteyuki, parsed, timeout_option
from .nodes import MISSING, not_online, other_lines
from .output import DOWN, console, show, show_json, waiting
from .text import LANGUAGE, t

_WATCH_SECONDS = 2.0
_END_SECONDS = 3700.0
"""Longer than the longest LITEYUKI_STOP_TIMEOUT."""

# ------------------------------------------------------------- processes


@liteyuki.command(help=t("Show the processes and how they are."))
@click.option("--watch", is_flag=True, help=t("Show it again every 2 seconds, until Ctrl+C."))
@node_option
@as_json
def status(watch: bool, node: str | None, as_json: bool) -> None:
    """Show the bot's status; the exit code says whether something is down."""
    client = Client(node)
    if watch and not as_json:
        _watch(client)
        return
    found = client.ask("GET", "/status")
    if as_json:
        show_json(found)
    else:
        console.print(_status(found, others_of(found)))
    if not found["ok"]:
        raise SystemExit(DOWN)


def others_of(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the other nodes of the cluster, if the bot with that status is in one."""
    if found["node"] is None:
        return []
    return [each for each in Client().ask("GET", "/nodes") if each["name"] != found["node"]]


def _watch(client: Client) -> None:
    screen = Live(console=console, auto_refresh=False, screen=True)
    try:
        with screen if console.is_terminal else nullcontext():
            while True:
                status = client.ask("GET", "/status")
                found = _status(status, others_of(status))
                if console.is_terminal:
                    screen.update(found, refresh=True)
                else:
                    console.print(found)
                time.sleep(_WATCH_SECONDS)
    except KeyboardInterrupt:
        pass


def _status(found: dict[str, Any], others: list[dict[str, Any]]) -> Group:
    parts: list[Any] = []
    outcome = "outcome_zh" if LANGUAGE == "zh" else "outcome"
    if found["processes"]:
        heads, rows = columns_of(found)
        parts.append(output.rows([t(head) for head in heads], rows, styled=1, right="235678"))
    else:
        parts.append(Text(t("there are no processes")))
    parts += [
        Text(t("{name}: {outcome}").format(name=process["name"], outcome=process[outcome]), "red")
        for process in found["processes"]
        if process["state"] in ("failed", "backoff") and process["outcome"]
    ]
    parts += [
        Text(not_online(account), MISSING[account["state"]])
        for account in found["accounts"]
        if account["state"] in MISSING
    ]
    parts += other_lines(others)
    if found["dead_letters"]:
        line = t("{count} messages are set aside: liteyuki dead-letters")
        parts.append(Text(line.format(count=found["dead_letters"]), "yellow"))
    parts.append(Text(summary_of(found), "dim"))
    return Group(*parts)


def columns_of(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Return what is shown of the processes of a status: the heads, in English, and the rows."""
    heads = ["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "CPU", "MEM", "LAG", "QUEUE"]
    rows = [_process(process) for process in found["processes"]]
    if found["accounts"]:
        heads.append("ACCOUNTS")
        for row in rows:
            row.append(_accounts(row[0], found["accounts"]))
    return heads, rows


def summary_of(found: dict[str, Any]) -> str:
    """Return a line about the bot itself."""
    return t("LiteyukiBot {version}, pid {pid}, up {uptime}, {memory}").format(
        version=found["version"],
        pid=found["pid"],
        uptime=in_words(found["uptime"]),
        memory=in_bytes(found["memory"]),
    )


def _process(process: dict[str, Any]) -> list[str]:
    restarts = str(process["restarts"])
    if process["exit_code"] is not None:
        restarts += f" ({process['exit_code']})"
    cpu, lag = process["cpu"], process["loop_lag"]
    return [
        process["name"],
        t(process["state"]),
        "-" if process["pid"] is None else str(process["pid"]),
        in_words(process["uptime"]),
        restarts,
        "-" if cpu is None else f"{cpu:.1f}%",
        in_bytes(process["memory"]),
        "-" if lag is None else f"{lag * 1000:.0f} ms",
        str(process["queue"]),
    ]


def _accounts(process: str, accounts: list[dict[str, Any]]) -> str:
    """Return how many accounts of a process are online, and how many there are."""
    states = [account["state"] for account in accounts if account["process"] == process]
    return f"{states.count('online')}/{len(states)}" if states else "-"


def _of_processes(verb: str, help: str, until: str) -> None:
    """Add a command that does something to processes and waits until they are in a state."""

    @liteyuki.command(verb, help=t(help))
    @click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=processes)
    @click.option("--no-wait", is_flag=True, help=t("Return at once."))
    @timeout_option
    @node_option
    @as_json
    def command(
        names: tuple[str, ...], no_wait: bool, timeout: float, node: str | None, as_json: bool
    ) -> None:
        client = Client(node)
        for name in names:  # Before anything is done: a name may be misspelled.
            client.ask("GET", f"/processes/{name}")
        found = [client.ask("POST", f"/processes/{name}/{verb}") for name in names]
        if not no_wait:
            found = [_wait(client, name, until, timeout) for name in names]
        _show_processes(found, as_json)


for _verb, _help, _until in (
    ("start", "Start processes, and wait until they run.", "running"),
    ("stop", "Stop processes, and wait until they have ended.", "stopped"),
    ("restart", "Restart processes, and wait until they run again.", "running"),
):
    _of_processes(_verb, _help, _until)


@liteyuki.command(help=t("Wait until a process runs, or has stopped."))
@click.argument("name", shell_complete=processes)
@click.option(
    "--state",
    type=click.Choice(["running", "stopped"]),
    default="running",
    show_default=True,
    help=t("What to wait for."),
)
@timeout_option
@node_option
@as_json
def wait(name: str, state: str, timeout: float, node: str | None, as_json: bool) -> None:
    """Wait for one process."""
    _show_processes([_wait(Client(node), name, state, timeout)], as_json)


def _wait(client: Client, name: str, state: str, timeout: float) -> Any:
    with waiting(t("waiting for {name} ...").format(name=name)):
        body = {"state": state, "timeout": timeout}
        return client.ask("POST", f"/processes/{name}/wait", body=body, timeout=timeout)


def _show_processes(found: list[Any], as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    for process in found:
        show(t("{name} is {state}").format(name=process["name"], state=t(process["state"])))


@liteyuki.command(help=t("Stop the bot and wait until it has ended."))
@timeout_option
@as_json
def shutdown(timeout: float, as_json: bool) -> None:
    """Stop the bot."""
    found = Client().ask("GET", "/status")
    Client().ask("POST", "/shutdown")
    deadline = time.monotonic() + timeout
    with waiting(t("waiting for the bot to end ...")):
        # The next one can start when nobody holds the lock any more.
        while is_locked():
            if time.monotonic() > deadline:
                output.fail(t("the bot did not end within {timeout:g} s").format(timeout=timeout))
            time.sleep(0.05)
    if as_json:
        show_json({"pid": found["pid"], "stopped": True})
    else:
        show(t("the bot has stopped"))


# ------------------------------------------------------------- channels


@liteyuki.command(help=t("Show the channels and what went over them."))
@as_json
def channels(as_json: bool) -> None:
    """Show the counts of channels."""
    found = Client().ask("GET", "/channels")
    if as_json:
        show_json(found)
        return
    heads = ("CHANNEL", "SENT", "DONE", "AGAIN", "DROPPED", "BACKLOG", "BYTES")
    fields = ("sent", "acknowledged", "redelivered", "dropped", "backlog")
    rows = [
        [each["name"], *(str(each[field]) for field in fields), in_bytes(each["bytes"])]
        for each in found
    ]
    console.print(output.rows([t(head) for head in heads], rows, right="123456"))


@liteyuki.command(help=t("Send JSON on a channel, from the main process."))
@click.argument("channel", shell_complete=channel_names)
@click.argument("data", metavar="JSON")
@as_json
def send(channel: str, data: str, as_json: bool) -> None:
    """Send one message."""
    found = Client().ask("POST", f"/channels/{channel}/send", body={"data": parsed(data)})
    if as_json:
        show_json(found)
    else:
        show(t("sent"))


@liteyuki.group(
    "dead-letters",
    invoke_without_command=True,
    help=t("Show messages that were set aside, put them back or discard them."),
)
@as_json
@click.pass_context
def dead_letters(ctx: click.Context, as_json: bool) -> None:
    """Show the messages that were set aside."""
    if ctx.invoked_subcommand is not None:
        return
    found = Client().ask("GET", "/dead-letters")
    if as_json:
        show_json(found)
    elif not found:
        show(t("no messages are set aside"))
    else:
        heads = ("ID", "CHANNEL", "PROCESS", "CRASHES", "SIZE", "TIME")
        rows = [
            [
                *(each["id"], each["channel"], each["process"], str(each["crashes"])),
                *(in_bytes(each["size"]), each["time"][:19].replace("T", " ")),
            ]
            for each in found
        ]
        console.print(output.rows([t(head) for head in heads], rows, right="34"))


def _of_letters(verb: str, help: str, said: str) -> None:
    """Add a command that does something to dead letters."""

    @dead_letters.command(verb, help=t(help))
    @click.argument("ids", metavar="[ID]...", nargs=-1)
    @click.option("--all", "every", is_flag=True, help=t("All of them."))
    @as_json
    def command(ids: tuple[str, ...], every: bool, as_json: bool) -> None:
        if bool(ids) == every:
            raise click.UsageError(t("name a message, or say --all"))
        client = Client()
        if every:
            ids = tuple(letter["id"] for letter in client.ask("GET", "/dead-letters"))
        for each in ids:
            client.ask("POST", f"/dead-letters/{each}/{verb}")
        if as_json:
            show_json(list(ids))
        else:
            show(t(said).format(count=len(ids)))


_of_letters("put-back", "Send a message again.", "put back: {count}")
_of_letters("discard", "Throw a message away.", "discarded: {count}")

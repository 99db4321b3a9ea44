"""`liteyuki completion`: what a shell runs so that the Tab key completes commands and names."""

from __future__ import annotations

import os
from typing import Any

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    split_arg_string,
)

from ..control import Client
from ..errors import LiteyukiError
from .group import liteyuki
from .text import t

_PROGRAM = "liteyuki"
_VARIABLE = "_LITEYUKI_COMPLETE"

_POWERSHELL = """\
Register-ArgumentCompleter -Native -CommandName %(prog_name)s -ScriptBlock {
    param($word, $command, $cursor)
    $line = $command.ToString()
    $length = [Math]::Min($line.Length, [Math]::Max(0, $cursor - $command.Extent.StartOffset))
    $env:%(complete_var)s = 'powershell_complete'
    $env:COMP_WORDS = $line.Substring(0, $length)
    $env:COMP_CWORD = $word
    try {
        %(prog_name)s | ForEach-Object {
            [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
        }
    } finally {
        Remove-Item Env:%(complete_var)s, Env:COMP_WORDS, Env:COMP_CWORD
    }
}
"""


class _PowerShell(ShellComplete):
    """click knows bash, zsh and fish. A line without words has PowerShell complete paths."""

    name = "powershell"
    source_template = _POWERSHELL

    def get_completion_args(self) -> tuple[list[str], str]:
        words, incomplete = split_arg_string(os.environ["COMP_WORDS"]), os.environ["COMP_CWORD"]
        if incomplete and words[-1:] == [incomplete]:
            words.pop()
        return words[1:], incomplete

    def format_completion(self, item: CompletionItem) -> str:
        return item.value if item.type == "plain" else ""


add_completion_class(_PowerShell)


@liteyuki.command(help=t("Print what a shell runs to complete commands and names."))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish", "powershell"]))
def completion(shell: str) -> None:
    """Print a script for a shell."""
    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(liteyuki, {}, _PROGRAM, _VARIABLE).source())


def processes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of processes that begin so."""
    return _names(context, "/processes", incomplete)


def channels(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of channels that begin so."""
    return _names(context, "/channels", incomplete)


def nodes(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of nodes that begin so."""
    return _names(context, "/nodes", incomplete)


def _names(context: click.Context, path: str, incomplete: str) -> list[str]:
    directory: Any = context.find_root().params.get("directory")
    node: Any = context.params.get("node")
    try:
        if directory:
            os.chdir(directory)
        found = Client(None if path == "/nodes" else node).ask("GET", path)
    except (LiteyukiError, OSError):
        return []
    return [each["name"] for each in found if each["name"].startswith(incomplete)]


node_option = click.option(
    "--node",
    metavar="NODE",
    shell_complete=nodes,
    help=t("Ask this node of the cluster, not the bot of this directory."),
)

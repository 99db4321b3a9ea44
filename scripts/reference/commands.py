"""The page of the command line: each command, its arguments and options."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click
from words import GENERATED, about, cell, document, prose, table

from liteyuki_core import cli
from liteyuki_core.cli.text import CHINESE

SAYS = {
    "en": {
        "title": "Command line",
        "intro": (
            "Every command of `liteyuki`. `python -m pip install "
            '"nonebot-plugin-liteyuki-comm[cli]"` brings it. It asks the bot of the directory that '
            "you are in, or of `-C DIRECTORY`. With `--json` a command writes JSON, whose keys "
            "stay as they are. Where nb-cli is installed, `nb liteyuki` is the same."
        ),
        "option": "option",
        "meaning": "meaning",
        "default": "Default: `{value}`.",
        "space": " ",
        "codes": "Exit codes",
        "code": "code",
    },
    "zh": {
        "title": "命令行",
        "intro": (
            "`liteyuki` 的所有命令。用 `python -m pip install "
            '"nonebot-plugin-liteyuki-comm[cli]"` 安装。它查询当前目录（或 `-C 目录`）里的机器人。'
            "带 `--json` 时输出 JSON，其中的键保持不变。装有 nb-cli 时，`nb liteyuki` 与它相同。"
        ),
        "option": "选项",
        "meaning": "含义",
        "default": "默认：`{value}`。",
        "space": "",
        "codes": "退出码",
        "code": "退出码",
    },
}
CODES = {
    0: {"en": "All is well.", "zh": "一切正常。"},
    1: {"en": "It has failed.", "zh": "失败。"},
    2: {"en": "It was asked wrongly.", "zh": "用法不对。"},
    3: {"en": "Something is down.", "zh": "有进程没有运行。"},
    4: {"en": "No bot runs here.", "zh": "这里没有机器人在运行。"},
}


def page(language: str) -> str:
    """Return the page."""
    says = SAYS[language]
    codes = [(f"`{code}`", words[language]) for code, words in CODES.items()]
    return document(
        f"# {says['title']}",
        says["intro"],
        GENERATED[language],
        f"## {says['codes']}",
        table((says["code"], says["meaning"]), codes),
        *(_command(name, context, language) for name, context in _all()),
    )


def _all() -> Iterator[tuple[str, click.Context]]:
    root = cli.whole()
    yield from _below("liteyuki", click.Context(root, info_name="liteyuki"))


def _below(name: str, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    yield name, context
    group = context.command
    if isinstance(group, click.Group):
        for each in group.list_commands(context):
            command = group.get_command(context, each)
            assert command is not None
            inner = click.Context(command, info_name=each, parent=context)
            yield from _below(f"{name} {each}", inner)


def _command(name: str, context: click.Context, language: str) -> str:
    says, command = SAYS[language], context.command
    pieces = " ".join(command.collect_usage_pieces(context))
    more = about("commands", name.partition(" ")[2]).get(language, "")
    options = [
        (_names(each, context), cell(prose(_meaning(each, language))))
        for each in command.params
        if isinstance(each, click.Option)
    ]
    return document(
        f"## `{name}`",
        SAYS[language]["space"].join(filter(None, (prose(_said(command.help, language)), more))),
        f"```text\n{name} {pieces}\n```",
        table((says["option"], says["meaning"]), options) if options else "",
    )


def _said(text: str | None, language: str) -> str:
    text = text or ""
    return text if language == "en" or not text else CHINESE[text]


def _names(option: click.Option, context: click.Context) -> str:
    value = "" if option.is_flag else f" {option.make_metavar(context)}"
    return cell(", ".join(f"`{name}{value}`" for name in option.opts))


def _meaning(option: click.Option, language: str) -> str:
    said = _said(option.help, language)
    default: Any = option.default
    if not option.show_default:
        return said
    shown = f"{default:g}" if isinstance(default, float) else default
    return said + SAYS[language]["space"] + SAYS[language]["default"].format(value=shown)

"""The words of words.toml, and small pieces of Markdown."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORDS: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("words.toml").read_text(encoding="utf-8")
)

GENERATED = {
    "en": "This page is made from the code.",
    "zh": "本页由代码生成。",
}


def about(kind: str, name: str) -> dict[str, Any]:
    """Return what words.toml says of a setting, an error, a command, a request or a metric."""
    found: dict[str, Any] = WORDS[kind].get(name, {})
    return found


def needed(kind: str, name: str, what: str) -> Any:
    """Return what words.toml must say, such as a sentence in a language."""
    try:
        return WORDS[kind][name][what]
    except KeyError:
        sys.exit(f"scripts/reference/words.toml must have {what!r} in [{kind}.{name!r}]")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [_row(head), "|" + "---|" * len(head), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def cell(text: str) -> str:
    """Return a text as a cell of a table has it."""
    return text.replace("|", r"\|").replace("\n", " ")


def prose(text: str) -> str:
    """Return a docstring as Markdown: its code stays, the rest means nothing to Markdown or Vue."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if i % 2 else _plain(part) for i, part in enumerate(parts))


def _plain(text: str) -> str:
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("{{", "{&#123;")
    # Between letters, underscores mean nothing to Markdown either.
    return re.sub(r"([*\[\]]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def sentence(text: str) -> str:
    """Return a text that begins with a capital and ends with a full stop."""
    text = text[0].upper() + text[1:]
    if text[-1] in ".。！？!?":
        return text
    return text + ("。" if re.search("[\u4e00-\u9fff]", text) else ".")


def document(*parts: str) -> str:
    """Return a page: its parts with empty lines between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"

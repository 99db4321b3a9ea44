"""The pages as tests read them: the READMEs, and the site's Markdown in both languages.

A page of the site is a file under `docs/`: Chinese at its root, English in `docs/en`. A comment
before a block of code says what a test does with it: `<!-- run: NAME -->` is a program,
`<!-- prints: NAME -->` what it writes, `<!-- project: FILE -->` a file of the reader's project,
`<!-- file: FILE -->` a file of this one.
"""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from typing import Any, NamedTuple

from tests.conftest import ROOT

ENGLISH, CHINESE = "en", "zh"
LANGUAGES = (ENGLISH, CHINESE)
READMES = {ENGLISH: "README.md", CHINESE: "README.zh-CN.md"}
RUN, PRINTS, PROJECT, FILE = "run", "prints", "project", "file"
KINDS = (RUN, PRINTS, PROJECT, FILE)
NONEBOT_KEYS = ("HOST", "PORT", "DRIVER", "LOG_LEVEL", "ONEBOT_ACCESS_TOKEN")
"""The settings of NoneBot that are documented."""

_BLOCK = re.compile(
    r"^(?:<!-- (?P<kind>\w+): (?P<name>.*?) -->\n)?```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A code block, and what the comment before it says about it."""

    kind: str
    name: str
    language: str
    text: str


def read(name: str) -> str:
    """Return the text of a file of this project."""
    return (ROOT / name).read_text(encoding="utf-8")


def site(language: str) -> list[str]:
    """Return the pages of the site in a language, sorted."""
    docs = ROOT / "docs"
    others = [docs / name for name in ("en", "node_modules", ".vitepress")]
    if language == ENGLISH:
        docs, others = docs / "en", []
    return sorted(
        path.relative_to(ROOT).as_posix()
        for path in docs.rglob("*.md")
        if not any(other in path.parents for other in others)
    )


def pages(language: str) -> list[str]:
    """Return the README of a language and the pages of the site that are in it, sorted."""
    return sorted([READMES[language], *site(language)])


def in_chinese(page: str) -> str:
    """Return the Chinese page that is beside an English one."""
    return page.replace(READMES[ENGLISH], READMES[CHINESE]).replace("docs/en/", "docs/")


def blocks(name: str) -> list[Block]:
    """Return the code blocks of a document, in order."""
    return [
        Block(*(part or "" for part in found.groups())) for found in _BLOCK.finditer(read(name))
    ]


def all_blocks(language: str) -> list[Block]:
    """Return the code blocks of all pages of a language."""
    return [b for page in pages(language) for b in blocks(page)]


def block(kind: str, name: str, language: str = ENGLISH) -> str:
    """Return the text of one block. Its name is there once in all pages of a language."""
    (text,) = [b.text for b in all_blocks(language) if (b.kind, b.name) == (kind, name)]
    return text


def names(kind: str) -> list[str]:
    """Return the names of all blocks of one kind."""
    return [b.name for b in all_blocks(ENGLISH) if b.kind == kind]


def prose(name: str) -> str:
    """Return a document without its code blocks."""
    return _BLOCK.sub("", read(name))


def headings(name: str) -> list[tuple[int, str]]:
    """Return the level and the text of each heading of a document."""
    return [
        (len(level), text) for level, text in re.findall(r"^(#+) (.+)$", prose(name), re.MULTILINE)
    ]


def _slug(heading: str) -> str:
    """Return the anchor that the site gives to a heading, as VitePress makes it."""
    text = unicodedata.normalize("NFKD", heading)
    text = re.sub("[\u0300-\u036f\0-\x1f]", "", text)
    text = re.sub(r"""[\s~`!@#$%^&*()\-_+=[\]{}|\\;:"'“”‘’<>,.?/]+""", "-", text).strip("-")
    return re.sub(r"^(\d)", r"_\1", text).lower()


def _slug_on_github(heading: str) -> str:
    """Return the anchor that GitHub gives to a heading of a README."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: str, *, on_site: bool) -> list[str]:
    """Return the anchors of a page's headings, in order."""
    found: list[str] = []
    for _, text in headings(page):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text).replace("`", "").replace("*", "")
        own = re.search(r"\{#([\w-]+)\}$", plain)
        anchor = own[1] if own else _slug(plain) if on_site else _slug_on_github(plain)
        number = 0
        while (numbered := f"{anchor}-{number}" if number else anchor) in found:
            number += 1
        found.append(numbered)
    return found


def sections(name: str, level: int) -> dict[str, str]:
    """Return what stands below each heading of a level, by the heading without its `marks`."""
    parts = re.split(rf"^{'#' * level} (.+)$", read(name), flags=re.MULTILINE)[1:]
    return {
        heading.replace("`", ""): re.split(r"^#", text, flags=re.MULTILINE)[0]
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def without_comments(of: Block) -> Any:
    """Return what of a block is the same in every language: of a log, what is before the level.

    Of what a command says in words, how many lines it has.
    """
    if (of.kind, of.name) == (PRINTS, "liteyuki web"):
        return len(of.text.splitlines())
    if of.kind == PRINTS:
        return [line.partition("[")[0] for line in of.text.splitlines()]
    if of.language == "python":
        tokens = tokenize.generate_tokens(io.StringIO(of.text).readline)
        ignored = (tokenize.COMMENT, tokenize.NL)
        return [(token.type, token.string) for token in tokens if token.type not in ignored]
    if of.language in ("bash", "toml"):
        return [line for line in of.text.splitlines() if not line.startswith("#")]
    return of.text

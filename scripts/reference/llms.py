"""llms.txt: what a program that reads the site finds where, each English page with one sentence."""

from __future__ import annotations

import re
from pathlib import Path

PATH = "docs/public/llms.txt"
ABOUT = (
    "One main process that starts and supervises child processes, NoneBot2 in one of them, and "
    "between them channels in the manner of Go and a shared store. Python 3.10 and newer."
)
GROUPS = {
    "guide": "Guide",
    "concepts": "Concepts",
    "reference": "Reference",
    "recipes": "Recipes",
    ".": "More",
}


def text(root: Path) -> str:
    """Return the file's text."""
    english = root / "docs" / "en"
    pages = sorted(english.rglob("*.md"))
    lines = ["# LiteyukiBot core", "", f"> {ABOUT}"]
    for folder, title in GROUPS.items():
        inside = [page for page in pages if page.parent == english / folder]
        if inside:
            lines += ["", f"## {title}", "", *(_line(page, english) for page in inside)]
    return "\n".join(lines) + "\n"


def _line(page: Path, english: Path) -> str:
    markdown = page.read_text(encoding="utf-8")
    body = re.sub(r"\A---\n.*?^---\n", "", markdown, flags=re.DOTALL | re.MULTILINE)
    found = re.search(r"^# (.+)$", body, re.MULTILINE)
    title = found[1].replace("`", "") if found else "LiteyukiBot"
    about = _first_sentence(body)
    path = f"en/{page.relative_to(english).as_posix()}"
    return f"- [{title}]({path})" + (f": {about}" if about else "")


def _first_sentence(body: str) -> str:
    """Return the first sentence of the first paragraph, without links and breaks; "" for none."""
    for block in re.split(r"\n\s*\n", body):
        if re.match(r"[A-Za-z`*\[\"“]", block):
            plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", " ".join(block.split()))
            return re.split(r"(?<=[.:!?])\s", plain)[0].rstrip(":")
    return ""

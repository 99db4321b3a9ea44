#!/usr/bin/env python3
"""Write the reference pages of the site, in both languages, and llms.txt: from the code.

`python scripts/reference` writes them, `python scripts/reference --check` says which are stale.
Exit code 1 if some are. What it says beside what the code says stands in words.toml.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["LITEYUKI_LOG_LANG"] = "en"  # The command line's texts are then as the code has them.

import api  # noqa: E402
import commands  # noqa: E402
import errors  # noqa: E402
import http_api  # noqa: E402
import llms  # noqa: E402
import metrics  # noqa: E402
import settings  # noqa: E402

FOLDERS = {"zh": "docs/reference", "en": "docs/en/reference"}
PAGES = {
    "settings.md": settings.page,
    "errors.md": errors.page,
    "cli.md": commands.page,
    "http.md": http_api.page,
    "metrics.md": metrics.page,
    "api.md": api.page,
}


def texts() -> dict[str, str]:
    """Return all reference pages, by path."""
    return {
        f"{folder}/{name}": page(language)
        for language, folder in FOLDERS.items()
        for name, page in PAGES.items()
    }


def stale(path: str, text: str) -> bool:
    """Return whether a file has not this text."""
    file = ROOT / path
    return not file.is_file() or file.read_text(encoding="utf-8") != text


def write(path: str, text: str) -> None:
    """Give a file this text."""
    (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / path).write_text(text, encoding="utf-8", newline="\n")


def main() -> int:
    """Write what is stale, or say what is."""
    check = "--check" in sys.argv[1:]
    found = 0
    # llms.txt names the pages, so they are written before it is made.
    for make in (texts, lambda: {llms.PATH: llms.text(ROOT)}):
        for path, text in make().items():
            if not stale(path, text):
                continue
            found += 1
            if check:
                print(f"{path} is stale: python scripts/reference")
            else:
                write(path, text)
                print(path)
    return int(check and found > 0)


if __name__ == "__main__":
    sys.exit(main())

"""The page's files: names with a hash, links between them, media types."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

from liteyuki_core.web import static
from tests.program import write_files

NAMES = {
    "main.js": "main.1.js",
    "store.js": "store.1.js",
    "views/log.js": "views/log.1.js",
    "style.css": "style.1.css",
    "icon.svg": "icon.1.svg",
    "index.html": "index.html",
}


@pytest.mark.parametrize(
    ("file", "text", "linked"),
    [
        ("main.js", 'import { x } from "./store.js";', 'import { x } from "./store.1.js";'),
        ("main.js", "import('./views/log.js')", "import('./views/log.1.js')"),
        ("views/log.js", 'from "../store.js"', 'from "../store.1.js"'),
        ("views/log.js", 'from "./log.js"', 'from "./log.1.js"'),
        ("main.js", '"store.js"', '"store.js"'),
        ("main.js", '"./other.js"', '"./other.js"'),
        ("main.js", '"../../main.js"', '"../../main.js"'),
        ("style.css", "url(icon.svg)", "url(icon.1.svg)"),
        ("style.css", '@import "./style.css"', '@import "./style.1.css"'),
        ("index.html", '<link href="style.css">', '<link href="/static/style.1.css">'),
        ("index.html", '<script src="./views/log.js">', '<script src="/static/views/log.1.js">'),
        ("index.html", '<a href="/main.js">', '<a href="/main.js">'),
    ],
)
def test_links(file: str, text: str, linked: str) -> None:
    """In modules those that begin with a dot, elsewhere all that name a file of the page."""
    assert static.linked(file, text, NAMES) == linked


def test_a_changed_file_has_another_name(tmp_path: Path) -> None:
    """And so have those that name it, also in a circle."""
    files = {"a.js": 'import "./b.js"', "b.js": 'import "./a.js"', "notes.txt": "no media type"}
    write_files(tmp_path, files)
    before = static.read(tmp_path)
    assert sorted(name.partition(".")[0] for name in before) == ["a", "b"]
    write_files(tmp_path, {"b.js": 'import "./a.js"; 1'})
    after = static.read(tmp_path)
    assert not set(before) & set(after)
    (name,) = (name for name in after if name.startswith("b."))
    (content,) = (file.content.decode() for key, file in after.items() if key.startswith("a."))
    assert content == f'import "./{name}"'


def test_comments_stay_at_home(tmp_path: Path) -> None:
    """Those that have lines for themselves, whatever is in them; nothing else."""
    text = (
        '/**\n * What it is: "a".\n */\nexport const a = 1; /* kept */\n'
        "  /** @type {HTMLElement} */ (a).click();\n  /** @type {x} */\nconst b = `\n/* `;\n"
        "const c = 2 /*\n*/;\n"
    )
    write_files(tmp_path, {"a.js": text, "a.css": "/* one */\na { b: c; }\n"})
    files = {file.media_type: file.content.decode() for file in static.read(tmp_path).values()}
    assert files == {
        "text/javascript; charset=utf-8": (
            "export const a = 1; /* kept */\n  /** @type {HTMLElement} */ (a).click();\n"
            "const b = `\n/* `;\nconst c = 2 /*\n*/;\n"
        ),
        "text/css; charset=utf-8": "a { b: c; }\n",
    }


def test_the_page() -> None:
    """Each file has a media type, nothing leads elsewhere, and all is small."""
    files = static.read()
    assert {"index.html", "entry.html"} <= set(files)
    for name, file in files.items():
        assert name.endswith(".html") or re.search(r"\.[0-9a-f]{12}\.\w+$", name)
        assert file.packed is None or gzip.decompress(file.packed) == file.content
        if file.media_type.startswith("text/"):
            text = file.content.decode()
            assert not re.search(r"https?://(?!www\.w3\.org/)", text), name
            for link in re.findall(r'(?:from|import|href=|src=)\s*\(?"([^":#]+)"', text):
                if link.startswith("/static/"):
                    assert link.removeprefix("/static/") in files, (name, link)
    page = [file for name, file in files.items() if not name.startswith("entry.")]
    assert sum(len(file.content) for file in page) < 140_000
    assert sum(len(file.packed or file.content) for file in page) < 50_000
    left_out = [
        path.name
        for path in static.FOLDER.rglob("*")
        if path.is_file() and path.suffix not in static.MEDIA_TYPES and path.suffix != ".ts"
    ]
    assert left_out == []

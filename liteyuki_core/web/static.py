"""The files of the page, as they are served: with a hash in their names, so they never change.

Links between the files are written with plain names, `./store.js` or `style.css`. Here they get the
names that are served. The hash is one for all files: modules may import each other in a circle.

Pure, but for reading the files once.
"""

from __future__ import annotations

import gzip
import posixpath
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "page"

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_TEXTS = (".css", ".html", ".js")

_LINK = re.compile(r"""(?<=["'(])[\w./-]+\.\w+(?=["')])""")
"""What may be a link to a file: it stands in quotes or brackets."""

_COMMENT = re.compile(r"^[ \t]*/\*(?:(?!\*/).)*\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
"""A comment that has its lines for itself. Types are in such ones; browsers need none."""


class File(NamedTuple):
    """A file as it is served. `packed` is its content as gzip, if that is shorter."""

    media_type: str
    content: bytes
    packed: bytes | None


def read(folder: Path = FOLDER) -> dict[str, File]:
    """Return all files of a folder, by the names under which they are served.

    HTML files keep their names, because they are served at addresses of their own.
    """
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in MEDIA_TYPES and path.is_file()
    }
    digest = sha256()
    for name, content in found.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    names = {name: _served(name, digest.hexdigest()[:12]) for name in found}
    return {names[name]: _file(name, content, names) for name, content in found.items()}


def _served(name: str, digest: str) -> str:
    stem, suffix = posixpath.splitext(name)
    return name if suffix == ".html" else f"{stem}.{digest}{suffix}"


def _file(name: str, content: bytes, names: Mapping[str, str]) -> File:
    suffix = posixpath.splitext(name)[1]
    if suffix in _TEXTS:
        text = content.decode().replace("\r\n", "\n")
        content = linked(
            name, text if suffix == ".html" else _COMMENT.sub("", text), names
        ).encode()
    packed = gzip.compress(content, mtime=0)
    return File(MEDIA_TYPES[suffix], content, packed if len(packed) < len(content) else None)


def linked(name: str, text: str, names: Mapping[str, str]) -> str:
    """Return the text of a file with its links to other files as `names` has them.

    In a module only what begins with a dot is a link. HTML gets links that begin with /static/.
    """
    is_module, is_html = name.endswith(".js"), name.endswith(".html")

    def replace(match: re.Match[str]) -> str:
        link = match[0]
        if link.startswith("/") or (is_module and not link.startswith(".")):
            return link
        meant = posixpath.normpath(posixpath.join(posixpath.dirname(name), link))
        served = names.get(meant)
        if served is None:
            return link
        if is_html:
            return f"/static/{served}"
        folder, _, _ = link.rpartition("/")
        file = served.rpartition("/")[2]
        return f"{folder}/{file}" if folder else file

    return _LINK.sub(replace, text)

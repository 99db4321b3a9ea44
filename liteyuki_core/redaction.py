"""Secrets in lines of text: found by the words before them, and not shown.

Pure. Any thread may call it. It finds what programs usually print: `token=...`, JSON such as
`"access_token": "..."`, and the header `Authorization: ...`.
"""

from __future__ import annotations

import re

SHOWN = "***"
"""Stands where a secret was."""

_KEY = r"(?:[\w-]*(?:token|passw(?:or)?d|secret)|api[_-]?key)"

_VALUE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\\?["']?[^\s\x1b"'\\&,;)\]}]+)"""
"""In quotes, or up to a character that ends it. A quote may be escaped, or may never end."""

_SECRETS = re.compile(
    rf"""
    (?P<header> authorization \\?["']? \s* [:=] \s* \\?["']?
        (?:(?:bearer|basic|token|digest) \s+)? )
        (?P<credential> [^\s\x1b"'\\,;]+ )
    | (?P<key> (?<![\w-]) {_KEY} \\?["']? \s* [:=] \s* ) (?P<value> {_VALUE} )
    """,
    re.IGNORECASE | re.VERBOSE,
)

_HINT = re.compile("token|passw|secret|api[_-]?key|authorization", re.IGNORECASE)


def names_secret(text: str) -> bool:
    """Return whether a text has a word that a secret may follow."""
    return _HINT.search(text) is not None


def redacted(text: str) -> str:
    """Return a text with `***` in place of each secret."""
    return _SECRETS.sub(_hide, text) if names_secret(text) else text


def _hide(found: re.Match[str]) -> str:
    if found["header"] is not None:
        return found["header"] + SHOWN
    value = found["value"]
    end = value[0] if value[0] in "\"'" and value[-1] == value[0] else ""
    start = end or value[: len(value) - len(value.lstrip("\\\"'"))]
    return f"{found['key']}{start}{SHOWN}{end}"

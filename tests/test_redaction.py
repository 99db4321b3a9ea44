"""Secrets in lines that programs write are not shown, and all else stays as it is."""

from __future__ import annotations

import pytest

from liteyuki_core.redaction import names_secret, redacted


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("token=s3cret", "token=***"),
        ("[WebUi] http://127.0.0.1:6099/webui?token=s3cret", None),
        ("ws://127.0.0.1:8080/?access_token=s3cret&id=1", None),
        ("TOKEN = s3cret, and more", "TOKEN = ***, and more"),
        ("token: s3cret", "token: ***"),
        ('{"access_token": "s3cret", "port": 1}', '{"access_token": "***", "port": 1}'),
        ('{"token":"s3\\"cret"}', '{"token":"***"}'),
        ("{'accessToken': 's3cret x'}", "{'accessToken': '***'}"),
        ('"{\\"token\\": \\"s3cret\\"}"', '"{\\"token\\": \\"***\\"}"'),
        ('token: "s3cret', 'token: "***'),
        ("Authorization: Bearer s3cret", "Authorization: Bearer ***"),
        ("authorization: Basic s3cret, host: a", "authorization: Basic ***, host: a"),
        ('"Authorization": "Bearer s3cret"', '"Authorization": "Bearer ***"'),
        ("authorization=s3cret", "authorization=***"),
        ("password=s3cret api_key=s3cret", "password=*** api_key=***"),
        ("token=s3cret token=s3cret", "token=*** token=***"),
        ("NAPCAT_WEBUI_TOKEN=s3cret", "NAPCAT_WEBUI_TOKEN=***"),
    ],
)
def test_secrets_are_hidden(line: str, shown: str | None) -> None:
    """In the forms in which programs write them; what stands around them is kept."""
    assert names_secret(line)
    assert redacted(line) == (shown or line.replace("s3cret", "***"))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "all is well",
        "the token was accepted",
        "used 100 tokens in 3 s",
        "max_tokens=100",
        "SyntaxError: Unexpected token",
        "401 without authorization",
        "▀▀▀▀ ▄▄▄▄",
    ],
)
def test_all_else_is_shown(line: str) -> None:
    """A word alone is no secret."""
    assert redacted(line) == line


def test_a_long_line_takes_no_long_time() -> None:
    """Not even one that is made to."""
    for word in ("token", "authorization ", "a-", "token=", '"token": "\\'):
        line = word * (100_000 // len(word))
        assert len(redacted(line)) <= len(line)

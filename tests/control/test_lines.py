"""Lines of the log as they are shown: levels, filters, secrets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from liteyuki_core.control.lines import Reading, masked, may_match
from liteyuki_core.control.models import Lines
from liteyuki_core.log import plain
from liteyuki_core.ring import Ring
from liteyuki_core.writer import Line

WRITTEN = [
    (None, "2026-01-01 00:00:00 [ℹ️信息] process a started\n"),
    ("a", "\x1b[32m01-01 00:00:00\x1b[0m [\x1b[33mWARNING\x1b[0m] nonebot | careful"),
    ("a", "  more about it"),
    ("b", "printed"),
    (None, "2026-01-01 00:00:01 [ERROR] it failed\nTraceback\n"),
    ("b", "2026-01-01 00:00:01 [🐛DEBUG] small"),
    ("b", "2026-01-01 00:00:01 [⭕错误] large"),
    ("b", json.dumps({"level": "CRITICAL", "message": "as JSON", "exception": "why"})),
]


def shown(**asked: Any) -> list[tuple[str, str | None, str]]:
    """Return process, level and last word of the lines that match."""
    ring: Ring[Line] = Ring(100, 10_000)
    ring.add([Line(*each) for each in WRITTEN], lambda _: 1)
    lines = Reading("life", Lines(**asked)).read(ring.after(0)[0])
    return [(line.process, line.level, line.text.split()[-1]) for line in lines]


def test_lines_have_process_and_level() -> None:
    """In each language, with and without icons and colours, and as JSON."""
    assert shown() == [
        ("main", "INFO", "started"),
        ("a", "WARNING", "careful"),
        ("a", None, "it"),
        ("b", None, "printed"),
        ("main", "ERROR", "Traceback"),
        ("b", "DEBUG", "small"),
        ("b", "ERROR", "large"),
        ("b", "CRITICAL", "why"),
    ]


def test_filters() -> None:
    """By process, text and level; a line without a level goes with the one before it."""
    assert [last for *_, last in shown(process=["A"])] == ["careful", "it"]
    assert [last for *_, last in shown(process=["a", "main"], text="ABOUT")] == ["it"]
    assert [last for *_, last in shown(level="WARNING")] == [
        *("careful", "it", "Traceback", "large", "why")
    ]
    assert shown(process=["none"]) == []


@pytest.mark.parametrize(
    "text",
    [
        "access_token=SECRET&x=1",
        "token: SECRET",
        '{"access_token": "SECRET", "x": 1}',
        "Authorization: Bearer SECRET",
        "authorization=Basic SECRET",
        "'Authorization': 'Bearer SECRET'",
        "with bearer SECRET of somebody",
        "http://user:SECRET@example.org/path",
        "redis://:SECRET@localhost",
        "PASSWORD = SECRET",
        "ONEBOT_ACCESS_TOKEN=SECRET",
        "api-key: SECRET",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    """What is beside them is still there."""
    word = "s3cr3t-W0rd."
    found = masked(text.replace("SECRET", word))
    assert word not in found
    assert found == text.replace("SECRET", "***")


@pytest.mark.parametrize(
    "text", ["12 tokens were used", "http://localhost:8080/x", "the bearer of it", "no secret here"]
)
def test_other_text_is_not(text: str) -> None:
    """A word alone is no secret."""
    assert masked(text) == text


def test_a_quick_look_overlooks_nothing() -> None:
    """Where one line matches, it says so; and mostly where none does."""
    text = "\n".join(plain(line) for _, line in WRITTEN) + "\na | \nb | \nmain | "
    for asked in (
        *({"text": "NEBOT"}, {"text": 'a "quote"'}, {"level": "WARNING"}, {"level": "CRITICAL"}),
        *({"process": ["A"]}, {"account": "00"}, {"level": "TRACE", "text": "large"}),
        *({"text": "about", "process": ["a"]}, {"text": "no such"}, {"account": "0000"}),
    ):
        if shown(**asked):
            assert may_match(text, Lines(**asked)), asked
    assert not may_match(text, Lines(text="no such"))
    assert not may_match(text, Lines(process=["nobody"]))
    assert not may_match(text, Lines(account="10001"))
    assert not may_match("a | 2026-01-01 [INFO] x", Lines(level="ERROR"))
    assert may_match("a | printed", Lines(level="INFO"))


def test_lines_about_an_account() -> None:
    """Its id stands there, and not as a part of a longer one."""
    texts = [
        "10001 is online",
        "group_10001",
        "[100011]",
        "(10001)",
        "u10001",
        "账号10001离线",
        "轻雪",
    ]
    ring: Ring[Line] = Ring(100, 10_000)
    ring.add([Line("a", text) for text in texts], lambda _: 1)
    found = Reading("life", Lines(account="10001")).read(ring.after(0)[0])
    assert [line.text for line in found] == [
        "10001 is online",
        "group_10001",
        "(10001)",
        "账号10001离线",
    ]

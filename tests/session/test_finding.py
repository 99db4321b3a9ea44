"""What handlers look for: commands as NoneBot finds them, words, patterns."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import pytest
from nonebot import rule as nonebot_rule
from nonebot.adapters.onebot.v11 import GroupMessageEvent
from pygtrie import CharTrie

from liteyuki_core.session import finding
from liteyuki_core.session.finding import Find, split_command
from tests.session.chat import made, told

COMMANDS = [("weather",), ("weather", "today"), ("we",), ("天气",), ("weathertoday",), ("a", "b")]
MESSAGES = [
    ["/weather"],
    ["/weather Beijing"],
    ["/weatherBeijing"],
    ["  /weather   Beijing "],
    ["/weather.today Beijing"],
    ["/weather-today"],
    ["/weathertoday"],
    ["/weathert"],
    ["/west"],
    ["!天气 上海"],
    ["天气"],
    ["weather"],
    ["/"],
    [""],
    ["say /weather"],
    ["/a.b c"],
    ["/a"],
    ["//weather"],
    ["/weather", "[face]", " Beijing"],
    ["[face]", "/weather"],
]
"""Messages by their segments; one in brackets is no text."""


def segments(parts: list[str]) -> list[tuple[str, dict[str, Any]]]:
    """Return the segments of a message."""
    return [
        ("face", {"id": "1"}) if part == "[face]" else ("text", {"text": part}) for part in parts
    ]


def found_by_nonebot(
    monkeypatch: pytest.MonkeyPatch, parts: list[str], starts: list[str], separators: list[str]
) -> tuple[tuple[str, ...], str]:
    """Return the command that NoneBot finds, and the text after it."""
    monkeypatch.setattr(nonebot_rule.TrieRule, "prefix", CharTrie())
    for command, start, separator in product(COMMANDS, starts, separators):
        prefix = start + separator.join(command)
        if prefix not in nonebot_rule.TrieRule.prefix:
            value = nonebot_rule.TRIE_VALUE(start, command)
            nonebot_rule.TrieRule.add_prefix(prefix, value)
    event = GroupMessageEvent.model_validate(
        {
            **{"time": 1, "self_id": 1, "post_type": "message", "message_type": "group"},
            **{"sub_type": "normal", "user_id": 1, "message_id": 1, "group_id": 1, "font": 0},
            **{"raw_message": "", "sender": {}},
            "message": [{"type": kind, "data": data} for kind, data in segments(parts)],
        }
    )
    found = nonebot_rule.TrieRule.get_value(None, event, {})  # type: ignore[arg-type]
    arguments = found["command_arg"]
    text = "" if arguments is None else arguments.extract_plain_text()
    return found["command"] or (), text.strip()


@pytest.mark.parametrize("parts", MESSAGES, ids=" ".join)
@pytest.mark.parametrize(
    ("starts", "separators"), [(["/"], ["."]), (["/", "!"], [".", "-"]), (["", "/"], ["."])]
)
def test_commands_are_found_as_nonebot_finds_them(
    monkeypatch: pytest.MonkeyPatch, parts: list[str], starts: list[str], separators: list[str]
) -> None:
    """The same of all commands, and the same text after it."""
    message = told("", segments=segments(parts), starts=tuple(starts), separators=tuple(separators))
    expected = found_by_nonebot(monkeypatch, parts, starts, separators)
    assert split_command(message, COMMANDS) == expected


def test_a_message_without_segments_has_no_command() -> None:
    """Nor one whose NoneBot has no COMMAND_START."""
    assert split_command(told("", segments=[]), COMMANDS) == ((), "")
    assert split_command(told("/weather", starts=()), COMMANDS) == ((), "")


@pytest.mark.parametrize(
    ("find", "texts"),
    [
        (finding.anything, {"", "Hello", "say hello", "hello there", "bye"}),
        (finding.keywords(["hello", "bye"]), {"say hello", "hello there", "bye"}),
        (finding.startswith(["hello", "b"], False), {"hello there", "bye"}),
        (finding.startswith(["hello"], True), {"Hello", "hello there"}),
        (finding.endswith(["hello", "ye"], False), {"say hello", "bye"}),
        (finding.endswith(["HELLO"], True), {"Hello", "say hello"}),
        (finding.fullmatch(["hello", "bye", ""], False), {"bye"}),
        (finding.fullmatch(["hello"], True), {"Hello"}),
        (finding.pattern("^h.*e$", 0), {"hello there"}),
        (finding.pattern("^h", re.IGNORECASE), {"Hello", "hello there"}),
        (finding.command([("a",)]), set()),
    ],
)
def test_what_is_found(find: Find, texts: set[str]) -> None:
    """Of some texts, these."""
    all_texts = ("", "Hello", "say hello", "hello there", "bye")
    assert {text for text in all_texts if find(made(text)) is not None} == texts


def test_what_a_pattern_has_matched() -> None:
    """The event gets it."""
    found = finding.pattern("(a+)(?P<end>b)", 0)(made("xaab"))
    assert found is not None
    assert found["match"].groups() == ("aa", "b")
    assert found["match"]["end"] == "b"


@pytest.mark.parametrize("wrong", ["(", "[a", "*", None, 5])
def test_a_pattern_that_does_not_compile(wrong: Any) -> None:
    """It is named at once."""
    with pytest.raises(ValueError, match=re.escape(f"{wrong!r} is no regular expression: ")):
        finding.pattern(wrong, 0)

"""The texts of alerts."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from liteyuki_core.alerts.text import _TEXTS, Lang, in_words, text


def fields(texts: Mapping[str, str]) -> dict[str, list[str]]:
    """Return what each text has to be given."""
    return {key: sorted(re.findall(r"\{(\w+)\}", each)) for key, each in texts.items()}


def test_both_languages_say_the_same() -> None:
    """Each text is there, and says what the other says."""
    assert fields(_TEXTS["en"]) == fields(_TEXTS["zh"])


@pytest.mark.parametrize(
    ("seconds", "en", "zh"),
    [
        (0.4, "0 s", "0 秒"),
        (60, "60 s", "60 秒"),
        (119.6, "2 min", "2 分钟"),
        (7199, "119 min", "119 分钟"),
        (7200, "2 h", "2 小时"),
        (200_000, "55 h", "55 小时"),
    ],
)
def test_durations(seconds: float, en: str, zh: str) -> None:
    """In one unit."""
    assert in_words("en", seconds) == en
    assert in_words("zh", seconds) == zh


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_what_a_child_has_written_is_no_format(lang: Lang) -> None:
    """Braces stay as they are."""
    assert "{name}%s" in text(lang, "failed", process="w", outcome="{name}%s")

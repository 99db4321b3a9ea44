"""Durations and sizes for people."""

from __future__ import annotations

import pytest

from liteyuki_core.units import in_bytes, in_words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "-"), (0.4, "0s"), (59, "59s"), (61, "1m 1s"), (7500, "2h 5m"), (360000, "4d 4h")],
)
def test_durations(seconds: float | None, words: str) -> None:
    """The two largest units."""
    assert in_words(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"),
    [(None, "-"), (12, "12 B"), (2048, "2 KB"), (90_000_000, "86 MB"), (3 * 2**30, "3.0 GB")],
)
def test_sizes(size: float | None, words: str) -> None:
    """As people say them."""
    assert in_bytes(size) == words

"""What tests of accounts share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from liteyuki_core import log


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """The lines that are logged, each with its level."""
    found: list[str] = []
    sink = log.logger.add(found.append, format="{level} {message}")
    yield found
    log.logger.remove(sink)

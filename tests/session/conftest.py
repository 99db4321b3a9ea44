"""What tests of sessions share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.session.chat import Chat, chatting_pair


@pytest.fixture
def chat() -> Iterator[Chat]:
    """A main process's sessions, and a child."""
    with chatting_pair() as made:
        yield made

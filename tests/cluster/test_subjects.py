"""Names of channels as tokens of subjects."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from liteyuki_core.cluster.subjects import Subjects, token

NAMES = st.text(min_size=1, max_size=200)


@given(NAMES, NAMES)
def test_different_names_have_different_tokens(first: str, second: str) -> None:
    """Whatever characters they have."""
    assert (token(first) == token(second)) == (first == second)


@given(NAMES)
def test_a_token_is_one(name: str) -> None:
    """Of what subjects and keys allow, and not too long."""
    assert re.fullmatch(r"[-_=A-Za-z0-9]{1,100}", token(name))


def test_kinds_of_entries() -> None:
    """A node and a channel of the same name have different entries."""
    subjects = Subjects("t", "a")
    assert subjects.kind_of(subjects.of_node("x")) == "node"
    assert subjects.kind_of(subjects.of_channel("x")) == "channel"

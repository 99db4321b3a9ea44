"""Errors and deaths as the texts that answers are.

Tests comm/ends/remote.py.
"""

from __future__ import annotations

import json

import pytest

from liteyuki_core.comm.ends import remote
from liteyuki_core.comm.ends.remote import Died
from liteyuki_core.comm.wire.frames import LONGEST_TEXT

DEATHS = [
    Died("render-1", 3, "exited with code 3", ("one", "its last words")),
    Died("render-1", None, "ended", ()),
    Died("绘图-1", -9, "was killed by SIGKILL", ("猫" * 500,) * 20),
    Died("render-1", 1, "exited", ('a "quoted" word\t',)),
]


@pytest.mark.parametrize("died", DEATHS)
def test_how_a_worker_has_ended(died: Died) -> None:
    """All of it is in the text; whoever asked otherwise than by a call gets the words."""
    text = remote.death(died)
    assert remote.death_in(text) == died
    assert len(text) <= LONGEST_TEXT
    assert remote.from_text(text, "c").message == f"process {died.process} {died.how}"


def test_its_first_lines_are_left_out() -> None:
    """If all of them are too long as JSON."""
    lines = tuple(f"{number}" + "\x00" * 499 for number in range(20))
    text = remote.death(Died("render-1", 1, "exited", lines))
    died = remote.death_in(text)
    assert died is not None
    assert 0 < len(died.lines) < 20
    assert died.lines == lines[-len(died.lines) :]
    assert len(text) <= LONGEST_TEXT


@pytest.mark.parametrize("character", ["x", "猫", "\n", "\x00", '"', "\ud800"])
def test_the_text_of_an_error_fits(character: str) -> None:
    """Whatever is in it. The end of it is what tells most."""

    class Named(Exception):
        pass

    Named.__qualname__ = 400 * character + "Name"
    try:
        raise Named(20_000 * character + "the end")
    except Named as error:
        text = remote.to_text(error)
    assert len(text) <= LONGEST_TEXT
    error = remote.from_text(text, "c")
    assert error.type_name.endswith("Name")
    assert error.message.endswith("the end")
    assert error.traceback.rstrip().endswith("the end")
    assert remote.death_in(text) is None


@pytest.mark.parametrize(
    "given",
    [
        "no JSON",
        "{}",
        "[]",
        "[" * 9000,
        '["", "", ""]',
        '["", "", "", "abcd"]',
        '["", "", "", {"a": 1, "b": 2, "c": 3, "d": 4}]',
        json.dumps(["", "", "", [1, 1, "how", []]]),
        json.dumps(["", "", "", ["p", "1", "how", []]]),
        json.dumps(["", "", "", ["p", 1, None, []]]),
        json.dumps(["", "", "", ["p", 1, "how", "lines"]]),
        json.dumps(["", "", "", ["p", 1, "how", [1]]]),
        json.dumps(["", "", "", ["p", 1, "how", [], 5]]),
        None,
        b"\x80",
    ],
)
def test_what_tells_of_no_death(given: object) -> None:
    """It may come from another machine: it is an error like any other."""
    assert remote.death_in(given) is None
    if isinstance(given, str):
        assert remote.from_text(given, "c").channel == "c"

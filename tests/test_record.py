"""Records of the log: JSON for programs, and the line for people beside it."""

from __future__ import annotations

import json

import pytest

from liteyuki_core import record

JSON = '{"level": "INFO", "message": "雪 \\u001f"}'


def test_a_record_of_a_child() -> None:
    """Has its JSON, and the line for people where there is one."""
    assert record.of_line("w", f"\x1e{JSON}") == (JSON, JSON)
    assert record.of_line("w", f'\x1e{JSON}\x1f"INFO 雪\\ntwo"') == (JSON, "INFO 雪\ntwo")


@pytest.mark.parametrize(
    "text",
    [
        "printed",
        JSON,
        f"\x1e{JSON[:-1]}",
        f'\x1e{JSON}\x1f"no end',
        f"\x1e{JSON}\x1f7",
        f"\x1e{JSON}\x1f" + "[" * 100_000,
    ],
)
def test_a_line_that_is_no_record(text: str) -> None:
    """Is for people as it is, and for programs a message without a level."""
    found, shown = record.of_line("w", f"\x1b[31m{text}\x1b[0m" if text == "printed" else text)
    fields = json.loads(found)
    assert (fields["process"], fields["level"], fields["message"]) == ("w", None, text)
    assert record.plain(shown) == text


def test_what_people_read_of_a_line() -> None:
    """The line of a record, or its JSON; without colours."""
    assert record.readable(f'\x1e{JSON}\x1f"\\u001b[31mred\\u001b[0m"') == "red"
    assert record.readable(f"\x1e{JSON}") == JSON
    assert record.readable("\x1b[31mred\x1b[0m") == "red"

"""Every text is there in both languages. Tests cli/text.py."""

from __future__ import annotations

import ast
import string

import pytest

from liteyuki_core.cli.text import CHINESE
from tests.conftest import ROOT

FILES = sorted((ROOT / "liteyuki_core" / "cli").rglob("*.py"))


def literals(path: object) -> set[str]:
    """Return the texts of a file that could be shown."""
    tree = ast.parse(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def asked(path: object) -> set[str]:
    """Return the texts of a file that stand in `t(...)`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    return {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "t"
        and isinstance(node.args[0], ast.Constant)
    }


def test_every_text_is_in_chinese() -> None:
    """Also those that are asked for by a variable; and none is there that nobody uses."""
    used = set().union(*map(asked, FILES))
    assert used <= set(CHINESE)
    there = set().union(*(literals(path) for path in FILES if path.name != "text.py"))
    assert set(CHINESE) <= there


@pytest.mark.parametrize("text", CHINESE)
def test_both_have_the_same_fields(text: str) -> None:
    """What is filled in is filled in in both."""

    def fields(of: str) -> set[str | None]:
        return {field for _, field, _, _ in string.Formatter().parse(of) if field is not None}

    assert fields(text) == fields(CHINESE[text])

"""Tables of pyproject.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from liteyuki_core.errors import ConfigError
from liteyuki_core.pyproject import read_table


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("", {}),
        ("[project]\nname = 'x'\n", {}),
        ("[tool.other]\nx = 1\n", {}),
        ("[tool.own]\nx = [1]\n[tool.own.y]\nz = '日'\n", {"x": [1], "y": {"z": "日"}}),
        ("tool = {own = {x = 1}}\n", {"x": 1}),
    ],
)
def test_a_table(tmp_path: Path, text: str, table: dict[str, object]) -> None:
    """What stands in it; nothing where it is not there."""
    path = tmp_path / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    assert read_table(path, "own") == table
    assert read_table(str(path), "own") == table


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there, a folder, None: no table."""
    assert read_table(tmp_path / "pyproject.toml", "own") == {}
    assert read_table(tmp_path, "own") == {}
    assert read_table(None, "own") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"[tool", "p.toml is not TOML: "),
        (b"x = '\xff'", "p.toml is not TOML: "),
        (b"tool = 1", r"p.toml: \[tool\] must be a table, not 1"),
        (b"tool.own = []", r"p.toml: \[tool.own\] must be a table, not \[\]"),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: bytes, says: str) -> None:
    """The error names the file and the place."""
    path = tmp_path / "p.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=says):
        read_table(path, "own")

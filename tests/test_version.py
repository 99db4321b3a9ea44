"""The version is said twice, and both say the same. Tests version.py."""

from __future__ import annotations

import liteyuki_core
from tests.conftest import ROOT


def test_the_version_is_that_of_the_package() -> None:
    """What Python code sees is what the wheel is called."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{liteyuki_core.__version__}"\n' in text

"""What tests of plugins share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins_of_main.project import Project
from tests.program import Environment


@pytest.fixture
def project(tmp_path: Path, environment: Environment) -> Project:
    """An empty project."""
    return Project(tmp_path, environment)

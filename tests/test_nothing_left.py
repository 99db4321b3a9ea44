"""The guard of every test, in conftest.py: what a test leaves behind is found."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, nothing_left
from tests.program import python

LEAK = """
import os
from multiprocessing import resource_tracker

import pytest

from tests.conftest import nothing_left

with nothing_left(0.1):
    resource_tracker.ensure_running()
print("the tracker is none")
try:
    with nothing_left(0.1):
        os.open(os.devnull, os.O_RDONLY)
except pytest.fail.Exception as failure:
    print("found", failure)
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is counted on Windows")


def test_one_descriptor() -> None:
    """It is found, and named as what it is."""
    leaked: list[int] = []
    with pytest.raises(pytest.fail.Exception, match="descriptors: "), nothing_left(0.1):
        leaked.append(os.open(os.devnull, os.O_RDONLY))
    os.close(leaked.pop())


def test_one_descriptor_beside_the_tracker(tmp_path: Path, environment: dict[str, str]) -> None:
    """The tracker that multiprocessing starts once is no leak, and hides none."""
    ran = python(LEAK, tmp_path, environment, PYTHONPATH=str(ROOT))
    lines = ran.stdout.splitlines()
    assert lines[0] == "the tracker is none"
    assert lines[1].startswith("found not within")

"""Runs a Python file in a child, as `python FILE ARGUMENTS` would."""

from __future__ import annotations

import os
import runpy
import sys

from .. import sources


def run_file(path: str, *arguments: str) -> None:
    """Run a file as the program of this process. Raises what it raises."""
    sources.note(path)
    sys.argv = [path, *arguments]
    sys.path.insert(0, os.path.dirname(path))
    runpy.run_path(path, run_name="__main__")

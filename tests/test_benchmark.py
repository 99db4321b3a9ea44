"""The benchmark runs and prints its table; what the figures are is not tested."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import ROOT


def test_the_benchmark_prints_its_table() -> None:
    """A short run measures each side and ends by itself."""
    result = subprocess.run(
        [sys.executable, "benchmarks/channels.py", "--quick", "--rows", "1345cefi"],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = [line for line in result.stdout.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 8, result.stdout
    for line in lines[2:]:
        assert "failed" not in line, result.stdout
    assert result.stdout.count("multiprocessing.Pipe: ") == 1

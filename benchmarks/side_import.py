"""How long an import takes in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

from workloads import PATIENCE

if TYPE_CHECKING:
    from workloads import Workload

_PROGRAM = """
from time import perf_counter
begun = perf_counter()
import {module}
print(perf_counter() - begun)
"""


def ours(workload: Workload, seconds: float) -> float:
    """Return the median time of `import liteyuki_core`, in seconds."""
    return _imports("liteyuki_core", workload, seconds)


def asyncio(workload: Workload, seconds: float) -> float:
    """Return the median time of `import asyncio`, in seconds."""
    return _imports("asyncio", workload, seconds)


def _imports(module: str, workload: Workload, seconds: float) -> float:
    begun = perf_counter()
    for _ in range(workload.warm_up):
        _import(module)
    count = workload.count(seconds, perf_counter() - begun)
    return median(_import(module) for _ in range(count))


def _import(module: str) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM.format(module=module)],
        capture_output=True,
        check=True,
        timeout=PATIENCE,
    )
    return float(done.stdout)

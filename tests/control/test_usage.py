"""What processes take, with all that they have started."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import psutil
import pytest

from liteyuki_core.control import usage
from liteyuki_core.control.usage import Usage
from tests.conftest import wait_until

PROGRAM = """
import subprocess, sys
inner = "block = b'x' * 50_000_000; print('full', flush=True); input()"
child = subprocess.Popen([sys.executable, "-c", inner], stdin=subprocess.PIPE)
input()
child.communicate()
"""


@pytest.mark.parametrize("way", ["here", "psutil"])
def test_a_process_counts_with_what_it_has_started(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its memory is its own and that of its child; who has started it does not count them."""
    if way == "psutil":
        monkeypatch.setattr(usage, "_from_proc", usage._from_psutil)
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "full\n"
        found = Usage().of([process.pid])
        assert set(found) == {process.pid}
        assert found[process.pid].memory > 55_000_000
        both = Usage().of([process.pid, os.getpid()])
        own = psutil.Process().memory_info().rss
        assert abs(both[os.getpid()].memory - own) < 30_000_000
        alone = Usage().of([os.getpid()])
        assert alone[os.getpid()].memory > both[os.getpid()].memory + 50_000_000
        process.communicate("\n")
    assert Usage().of([process.pid]) == {}


def test_the_percentage_is_of_the_time_since_the_last_call() -> None:
    """First since the start; over too short a time the last one is said again."""
    figures = Usage()
    assert figures.percent(1, 5.0, 0.1) is None
    percent = figures.percent(1, 5.0, 10.0)
    assert percent == pytest.approx(50.0, abs=1)
    assert figures.percent(1, 6.0, 10.0) == percent
    later = time.monotonic() + 0.6
    wait_until(lambda: time.monotonic() > later)
    assert figures.percent(1, 5.6, 10.6) == pytest.approx(100.0, abs=20)
    figures.forget({2})
    assert figures.percent(1, 1.0, 10.0) == pytest.approx(10.0, abs=1)

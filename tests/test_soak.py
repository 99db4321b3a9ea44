"""A minute of senders that are faster than their receivers: memory flat, nothing lost, in order."""

from __future__ import annotations

import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import pytest

from tests.conftest import a_little
from tests.program import running_program

TOLERANCE = 2 << 20
"""Bytes by which the median of the last window may be over that of the first."""

SMALL_OBJECT = 48
"""Bytes: an empty object or a small int, and its slot in a list."""


@a_little(10, 60)
def test_senders_faster_than_receivers(
    tmp_path: Path, environment: dict[str, str], times: int
) -> None:
    """Both directions, sync and async, with concurrency bounds."""
    for seconds in (times, 3 * times):  # A busy machine may need longer for as many messages.
        reports, samples = run(tmp_path, environment, seconds)
        settled = seconds / 6  # From then on memory has to stay flat; as long are what is compared.
        share = (seconds - 2 * settled) / seconds
        least = min(sum(flow["received"] for flow in report) for report in reports)
        if least * share * SMALL_OBJECT > TOLERANCE:
            break
    else:
        pytest.fail(f"{least} messages are too few to show a leak")
    for which in (1, 2):
        first = median(s[which] for s in samples if settled <= s[0] < 2 * settled)
        last = median(s[which] for s in samples if s[0] >= seconds - settled)
        assert last - first < TOLERANCE, f"{first} bytes grew to {last}"


def run(
    folder: Path, environment: dict[str, str], seconds: int
) -> tuple[list[list[dict[str, Any]]], list[tuple[float, int, int]]]:
    """Return what both processes say of their flows, and what memory they had at which time."""
    samples: list[tuple[float, int, int]] = []
    with running_program(folder, environment, "soak", str(seconds)) as bot:
        pid = int(bot.wait_for_line(r"process peer started \(pid (\d+)\)")[1])
        processes = psutil.Process(bot.process.pid), psutil.Process(pid)
        begun = time.monotonic()

        def ended() -> bool:
            now = time.monotonic() - begun
            if now < seconds and (not samples or now - samples[-1][0] > 0.1):
                main, child = (process.memory_info().rss for process in processes)
                samples.append((now, main, child))
            return len(bot.found("reports")) == 2

        bot.wait_until(ended, "all is received", 2 * seconds + 20)
        assert bot.stop() == 0
        assert not bot.found("Traceback")
        reports = [json.loads(match[1]) for match in bot.found(r"reports (.*)")]
    for flow in (flow for report in reports for flow in report):
        assert flow["wrong"] == []
        assert flow["received"] == flow["total"]
        assert flow["sum"] == sum(range(flow["total"]))
        assert flow["capacity"] / 4 < flow["backlog"] <= flow["capacity"], flow
    return reports, samples

"""Measure the web page: its first paint on a phone, and what an open one costs the main process.

    python benchmarks/page.py            # 5 minutes
    python benchmarks/page.py --quick    # 1 minute, rougher

README.md says what is measured. Exits with 1 when a figure is not reached, with 2 where there is
no /proc or no Chromium. CHROMIUM says where that is, else it is looked for on PATH.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright
from processes import processor_seconds
from table import machine, print_facts

BOT = Path(__file__).resolve().parent / "page_bot.py"
VIEWS = ("overview", "log", "charts")
PAINT, CORE = 1.0, 0.01
PATIENCE = 60.0
PHONE = {"width": 360, "height": 740}
SLOWER = 4
"""So many times slower than this machine the phone's processor is."""
NETWORK = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1.6e6 / 8,
    "uploadThroughput": 0.75e6 / 8,
}
"""What Lighthouse calls slow 4G: milliseconds, and bytes a second."""
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


@contextmanager
def running() -> Iterator[subprocess.Popen[str]]:
    """Run the bot in a folder of its own, which is the working directory meanwhile."""
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("LITEYUKI_")}
        environment.update(
            LITEYUKI_LOG_LANG="en", LITEYUKI_LOG_FILE=f"{folder}/bot.log", PYTHONUTF8="1"
        )
        before = Path.cwd()
        os.chdir(folder)
        process = subprocess.Popen(
            [sys.executable, str(BOT)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield process
        finally:
            os.chdir(before)
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def link() -> str:
    """Return a link to the page, once the bot answers."""
    from liteyuki_core.control import Client, NoBot

    until = monotonic() + PATIENCE
    while True:
        try:
            return str(Client().ask("POST", "/web", body={})["url"])
        except NoBot:
            if monotonic() > until:
                raise
            sleep(0.1)


def cost(pid: int, seconds: float) -> float:
    """Return which part of a core a process takes."""
    begun, before = monotonic(), processor_seconds([pid])
    sleep(seconds)
    return (processor_seconds([pid]) - before) / (monotonic() - begun)


def paint(browser: Browser) -> tuple[float, float]:
    """Return when a phone paints something first, and when it has the table of processes.

    In seconds from the call of the page, which it has never called before, by a link.
    """
    context = browser.new_context(
        viewport=PHONE,  # type: ignore[arg-type]
        is_mobile=True,
        has_touch=True,
    )
    page = context.new_page()
    page.goto(link())
    page.wait_for_selector("h1")
    address = page.url.partition("#")[0]
    page.goto("about:blank")
    devtools = context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    devtools.send("Network.emulateNetworkConditions", NETWORK)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
    page.goto(address)
    page.wait_for_selector(".processes [role=row]:nth-child(2)", timeout=PATIENCE * 1000)
    filled = float(page.evaluate("performance.now()")) / 1000
    painted = float(page.evaluate(PAINTED)) / 1000
    context.close()
    return painted, filled


def opened(browser: Browser, view: str) -> Page:
    """Return a page that shows a view."""
    page = browser.new_context(viewport=PHONE).new_page()  # type: ignore[arg-type]
    page.goto(link())
    page.wait_for_selector("h1")
    page.evaluate("view => { location.hash = view }", view)
    page.wait_for_selector(f"lite-{view}")
    return page


def measure(chromium: str, seconds: float, times: int) -> dict[str, Any]:
    """Return all figures."""
    with running() as bot, sync_playwright() as playwright:
        link_of = link()
        assert link_of
        browser = playwright.chromium.launch(executable_path=chromium)
        sleep(3)
        costs = {"closed": [cost(bot.pid, seconds)]}
        paints = [paint(browser) for _ in range(times)]
        for view in VIEWS:
            page = opened(browser, view)
            sleep(3)  # Opening it is not what is measured.
            costs[view] = [cost(bot.pid, seconds)]
            page.context.close()
        costs["closed"].append(cost(bot.pid, seconds))
        browser.close()
    closed = median(costs.pop("closed"))
    return {
        "paint": [each[0] for each in paints],
        "filled": [each[1] for each in paints],
        "closed": closed,
        "open": {view: found[0] - closed for view, found in costs.items()},
    }


def main() -> None:
    """Measure, print, and say whether all is reached."""
    parser = argparse.ArgumentParser(description="Measure the web page.")
    parser.add_argument("--quick", action="store_true", help="1 minute, rougher")
    parser.add_argument("--json", metavar="FILE", help="write the figures there")
    asked = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if not Path("/proc/self/stat").exists() or not chromium:
        print("there is no /proc or no Chromium", file=sys.stderr)
        sys.exit(2)
    print_facts(machine(uvloop=False))
    found = measure(chromium, 12 if asked.quick else 60, 3 if asked.quick else 9)
    if asked.json:
        Path(asked.json).write_text(json.dumps(found))
    paint = median(found["paint"])
    print(f"first paint, phone        {paint:.2f} s (must: under {PAINT:g} s)")
    print(f"table of processes there  {median(found['filled']):.2f} s")
    print(f"main without an open page {found['closed']:.2%} of a core")
    for view, part in found["open"].items():
        print(f"an open page, {view:<12}{part:.2%} of a core more (must: under {CORE:.0%})")
    sys.exit(paint >= PAINT or max(found["open"].values()) >= CORE)


if __name__ == "__main__":
    main()

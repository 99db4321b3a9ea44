"""The command that opens the web page."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Liteyuki
from tests.program import Program
from tests.web.browser import Browser


def test_it_shows_a_link(bot: Program, liteyuki: Liteyuki) -> None:
    """It opens the page; another call only makes another link."""
    shown = liteyuki("web", "--no-browser")
    match = re.search(r"^(http://127\.0\.0\.1:(\d+)/ticket/\S+)$", shown, re.MULTILINE)
    assert match is not None
    assert "once, within 60 s" in shown
    port = int(match[2])
    assert re.search(rf"^  ssh -N -L {port}:127\.0\.0\.1:{port} \S+@\S+$", shown, re.MULTILINE)
    browser = Browser(port)
    assert browser.redeem(match[1]).status == 200
    assert browser.get("/api/session").json["right"] == "change"
    bot.wait_for_line(f"the web page is open at http://127.0.0.1:{port}$")
    found = json.loads(liteyuki("web", "--json", "--read-only"))
    assert set(found) == {"url", "right", "seconds", "port", "tunnel"}
    assert (found["right"], found["port"], found["seconds"]) == ("read", port, 60.0)
    assert len(bot.found("the web page is open")) == 1
    assert browser.redeem(found["url"]).status == 200
    assert browser.get("/api/session").json["right"] == "read"
    assert "网页" in liteyuki("web", "--help", LITEYUKI_LOG_LANG="zh")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there it asks the system")
def test_it_opens_a_browser(bot: Program, liteyuki: Liteyuki, tmp_path: Path) -> None:
    """Where there is a screen, and it was not asked to leave it."""
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" >> "$0.seen"\n')
    browser.chmod(0o755)
    screen = {"DISPLAY": ":1", "BROWSER": str(browser)}
    seen = tmp_path / "browser.seen"
    liteyuki("web", DISPLAY="", WAYLAND_DISPLAY="", BROWSER=str(browser))
    liteyuki("web", "--no-browser", **screen)
    liteyuki("web", "--json", **screen)
    assert not seen.exists()
    shown = liteyuki("web", **screen)
    assert seen.read_text().strip() in shown


def test_where_the_page_may_not_be(here: Path, liteyuki: Liteyuki) -> None:
    """Without a bot."""
    assert liteyuki("web", code=4).strip() == "no bot runs here; liteyuki run starts one"

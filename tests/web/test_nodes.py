"""Other nodes of a cluster on the page, in a real browser: what is wrong there, and commands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect

from liteyuki_core.control import Client
from tests.commanded import Bots, two_nodes
from tests.conftest import in_full
from tests.nats import NatsServer
from tests.web.chromium import PHONE, needs_chromium
from tests.web.chromium import chromium as chromium
from tests.web.chromium import contexts as contexts

pytestmark = needs_chromium


@pytest.fixture
def bots(
    here: Path, environment: dict[str, str], nats: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Bots]:
    """Both nodes; the page is that of `a`."""
    with two_nodes(here, environment, nats) as found:
        monkeypatch.chdir("a")
        yield found


def opened(
    contexts: Callable[..., BrowserContext], *, read_only: bool = False, **more: Any
) -> Page:
    """Return the page of `a`, which knows `b`."""
    page = contexts(**more).new_page()
    page.goto(Client().ask("POST", "/web", body={"read_only": read_only})["url"])
    expect(page.locator(".nodes details")).to_have_count(1)
    return page


def state_of(page: Page, name: str) -> Any:
    """Return where the state of a process stands."""
    row = page.locator("[role=row]").filter(has=page.get_by_text(name, exact=True))
    return row.locator(".state")


def test_processes_of_another_node(bots: Bots, contexts: Any) -> None:
    """They are there with their states, and are stopped and started from here."""
    page = opened(contexts)
    node = page.locator(".nodes details")
    expect(node.locator("summary")).to_contain_text("2 of 2 processes run")
    expect(page.locator(".well")).to_contain_text("All is well")
    expect(page.locator(".about")).to_contain_text("Node")
    page.get_by_role("button", name="Stop echo-b").click()
    dialog = page.get_by_role("dialog", name="Stop echo-b?")
    expect(dialog).to_contain_text("It is on node b")
    dialog.get_by_role("button", name="Stop").click()
    expect(state_of(page, "echo-b")).to_have_text("stopped")
    assert bots.b.found("node a has asked for this: stop echo-b")
    assert bots.a.found(r"web page: POST /api/processes/echo-b/stop\?node=b from ")
    expect(state_of(page, "echo-a")).to_have_text("running")
    page.get_by_role("button", name="Start echo-b").click()
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(state_of(page, "echo-b")).to_have_text("running")


def test_a_node_that_is_gone(bots: Bots, contexts: Any) -> None:
    """It is the first thing that the page says, on a phone, and in Chinese too."""
    page = opened(contexts, viewport=PHONE)
    other = opened(contexts, locale="zh-CN", viewport=PHONE)
    bots.b.process.kill()
    expect(page.locator(".troubles li").first).to_contain_text(re.compile("^node b: GONE for"))
    expect(page.locator(".nodes .badge")).to_have_text("gone")
    expect(page.locator("nav .number").first).to_have_text("1")
    expect(other.locator(".troubles li").first).to_contain_text("节点 b：失联")
    for each in (page, other):
        assert each.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_who_may_only_look(bots: Bots, contexts: Any) -> None:
    """He sees the processes, and has no buttons; nor may his session use what they do."""
    page = opened(contexts, read_only=True)
    expect(state_of(page, "echo-b")).to_have_text("running")
    expect(page.get_by_role("button", name="Stop echo-b")).to_have_count(0)
    answer = page.evaluate(
        """async () => {
          const { csrf } = await (await fetch("/api/session")).json();
          const headers = { "X-CSRF-Token": csrf };
          const asked = "/api/processes/echo-b/stop?node=b";
          return (await fetch(asked, { method: "POST", headers })).status;
        }"""
    )
    assert answer == 403


@pytest.mark.parametrize("scheme", ["light", *in_full("dark")])
def test_axe_finds_nothing_serious(bots: Bots, contexts: Any, scheme: str) -> None:
    """On a phone and on a desktop."""
    for width in (360, 1280):
        page = opened(contexts, color_scheme=scheme, viewport={"width": width, "height": 800})
        found = Axe().run(page).response["violations"]
        assert not [each for each in found if each["impact"] in ("serious", "critical")]

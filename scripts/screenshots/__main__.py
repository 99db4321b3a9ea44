#!/usr/bin/env python3
"""Make pictures of the web page, of a bot that does not exist: all names and figures are made up.

    python scripts/screenshots FOLDER  each view and each scene, in all sizes, languages and schemes
    python scripts/screenshots FOLDER scene-key 360-zh  those with one of these in their names
    python scripts/screenshots --site  the two pictures in docs/public

A scene is what somebody comes to who does something in a view: a question, a mistake, a filter.
It needs the extra `test`, and Chromium: CHROMIUM says where, else it is looked for on PATH.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from made_up import answer, events  # noqa: E402
from PIL import Image  # noqa: E402
from playwright.sync_api import Browser, Page, Route, sync_playwright  # noqa: E402

from liteyuki_core import language as operator  # noqa: E402
from liteyuki_core.web import entry, static  # noqa: E402

VIEWS = ("overview", "log", "charts", "channels", "channels/nonebot-active", "store", "settings")
ENTRIES = ("entry-password", "entry-used")
SIZES = {360: 740, 1280: 800}
LANGUAGES = ("zh", "en")
SCHEMES = ("light", "dark")
ORIGIN = "http://127.0.0.1:20300"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
SITE = (("web-overview.png", "en", "light", 1280), ("web-phone.png", "zh", "dark", 360))


class Scene(NamedTuple):
    """What somebody does in a view, and who it is."""

    view: str
    does: Callable[[Page], object] = lambda page: None
    right: str = "change"
    empty: bool = False
    silent: bool = False
    """Whether the bot answers no more, once the page is there."""


def pressed(place: str) -> Callable[[Page], object]:
    """Return what presses the first button that is found so."""
    return lambda page: page.locator(place).first.click()


def saves_nonsense(page: Page) -> None:
    """Try to save what is no JSON."""
    page.locator("textarea").fill("{name: 小雪}")
    page.locator("dialog button.first").click()


SCENES = {
    "restart": Scene(
        "overview", pressed(".processes [role=row]:nth-child(2) button:nth-of-type(2)")
    ),
    "read-only": Scene("overview", right="read"),
    "empty-overview": Scene("overview", empty=True),
    "silent": Scene("overview", silent=True),
    "empty-log": Scene("log", empty=True),
    "log-filters": Scene("log?level=ERROR&text=weather", pressed(".toggle")),
    "log-line": Scene("log", pressed(".line .time")),
    "empty-charts": Scene("charts", empty=True),
    "empty-channels": Scene("channels", empty=True),
    "letter": Scene("channels", pressed(".letters button")),
    "discard": Scene("channels", pressed(".letters button:last-of-type")),
    "empty-store": Scene("store", empty=True),
    "key": Scene("store/users/10001"),
    "key-nonsense": Scene("store/users/10001", saves_nonsense),
    "key-read-only": Scene("store/users/10001", right="read"),
    "settings-link": Scene("settings", pressed("section button")),
}


def serve(page: Page, language: str, scene: Scene | None = None) -> None:
    """Answer whatever a page asks for."""
    files = static.read()
    right, empty = ("change", False) if scene is None else (scene.right, scene.empty)

    def respond(route: Route) -> None:
        asked = urlsplit(route.request.url)
        path = asked.path.lstrip("/")
        headers = {"content-security-policy": POLICY}
        if path.startswith("api/"):
            path = path.removeprefix("api/")
            if path.endswith("tail") and "last-event-id" not in route.request.headers:
                route.fulfill(
                    body="".join(events()), content_type="text/event-stream", headers=headers
                )
            elif not path.endswith(("follow", "tail")):  # These wait for what does not come.
                query = {key: values[0] for key, values in parse_qs(asked.query).items()}
                found = answer(path, query, language, right, empty=empty)
                route.fulfill(json=found, headers=headers)
            return
        if path.startswith("entry"):
            operator.use(language)
            content = {"entry-password": entry.log_in(True, "x"), "entry-used": entry.used_ticket()}
            text = files["entry.html"].content.decode()
            headers["content-type"] = "text/html; charset=utf-8"
            body = text.format(lang=language, more="", content=content[path])
            route.fulfill(body=body, headers=headers)
            return
        file = files.get(path.removeprefix("static/") or "index.html")
        if file is None:
            route.fulfill(status=404)
            return
        headers["content-type"] = file.media_type
        route.fulfill(body=file.content, headers=headers)

    page.route("**/*", respond)


def opened(
    browser: Browser, language: str, scheme: Any, width: int, scene: Scene | None = None
) -> Page:
    """Return the page, opened as somebody with this browser has it."""
    context = browser.new_context(
        locale={"zh": "zh-CN", "en": "en-US"}[language],
        color_scheme=scheme,
        viewport={"width": width, "height": SIZES[width]},
    )
    page = context.new_page()
    page.on("pageerror", lambda error: print("error:", error, file=sys.stderr))
    page.on("console", lambda said: print(said.type, said.text, file=sys.stderr))
    serve(page, language, scene)
    return page


def shoot(page: Page, view: str, path: Path, *, whole: bool = False) -> None:
    """Make a picture of a view."""
    page.goto(f"{ORIGIN}/{view}" if view.startswith("entry") else f"{ORIGIN}/#{view}")
    if view.startswith("channels/"):
        page.locator("button[aria-pressed]").click()
        page.locator(".messages li").first.wait_for()
    page.wait_for_load_state("load")
    page.wait_for_timeout(600)
    if whole:
        # As high as what is on it: what sticks to the lower edge would cover the middle else.
        size = page.viewport_size or {}
        height = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
        page.wait_for_timeout(200)
    page.screenshot(path=path)
    if whole:
        page.set_viewport_size({"width": size["width"], "height": size["height"]})


def shoot_scene(page: Page, scene: Scene, path: Path) -> None:
    """Make a picture of what somebody comes to who does something."""
    page.goto(f"{ORIGIN}/#{scene.view}")
    page.wait_for_load_state("load")
    page.wait_for_timeout(600)
    if scene.silent:
        page.route("**/api/**", lambda route: route.abort())
        page.wait_for_timeout(6_000)
    scene.does(page)
    page.wait_for_timeout(400)
    page.screenshot(path=path)


def main() -> None:
    """Make what is asked for."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chrome")
    if len(sys.argv) < 2 or not chromium:
        sys.exit(__doc__)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        if sys.argv[1] == "--site":
            folder = ROOT / "docs" / "public"
            for name, language, scheme, width in SITE:
                shoot(opened(browser, language, scheme, width), "overview", folder / name)
                Image.open(folder / name).quantize(128).save(folder / name, optimize=True)
            return
        folder = Path(sys.argv[1])
        folder.mkdir(parents=True, exist_ok=True)
        for width in SIZES:
            for language in LANGUAGES:
                for scheme in SCHEMES:
                    page = opened(browser, language, scheme, width)
                    before = f"{width}-{language}-{scheme}"
                    for view in (*VIEWS, *ENTRIES):
                        name = f"{before}-{view.replace('/', '-')}.png"
                        if wanted(name):
                            page = opened(browser, language, scheme, width)
                            shoot(page, view, folder / name, whole=view != "log")
                            page.context.close()
                    for scene_name, scene in SCENES.items():
                        name = f"{before}-scene-{scene_name}.png"
                        if wanted(name):
                            page = opened(browser, language, scheme, width, scene)
                            shoot_scene(page, scene, folder / name)
                            page.context.close()


def wanted(name: str) -> bool:
    """Return whether a picture was asked for."""
    return len(sys.argv) == 2 or any(each in name for each in sys.argv[2:])


if __name__ == "__main__":
    main()

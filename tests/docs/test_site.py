"""The site: it builds, and its search finds what people look for, in a real browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.docs.pages import CHINESE, ENGLISH, LANGUAGES, anchors, read, site

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"
BASE = "nonebot-plugin-liteyuki-comm"
"""The folder of the site on its host: `base` in the site's configuration."""
SHOWN = 16
"""How many sections the search shows at most."""

NPM = shutil.which("npm")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
FOLDERS = {CHINESE: "", ENGLISH: "en/"}

QUESTIONS = {
    "LITEYUKI_MAX_REDELIVERIES": "settings.html#liteyuki-max-redeliveries",
    "max_redeliveries": "settings.html#liteyuki-max-redeliveries",
    "STORE_CACHE": "settings.html#liteyuki-store-cache-bytes",
    "ChannelBroken": "errors.html#channelbroken",
    "wouldblockloop": "errors.html#wouldblockloop",
    "liteyuki logs": "cli.html#liteyuki-logs",
    "dead-letters put-back": "cli.html#liteyuki-dead-letters-put-back",
    "liteyuki_channel_backlog": "metrics.html#liteyuki-channel-backlog",
    "on_receive": "api.html#channel-on-receive",
    "compare_and_set": "api.html#sharedmemory-compare-and-set",
    "/store-changes": "http.html#get-store-changes",
}
"""What is typed, and the section of the reference that is found first, in both languages."""

SUBJECTS = {
    CHINESE: {
        "重新投递": "guide/restarts",
        "崩溃后消息会丢吗": "guide/restarts",
        "热重载": "guide/gateway",
        "至少一次": "concepts/guarantees",
        "备份": "recipes/backup",
        "两个 NoneBot": "recipes/two-bots",
    },
    ENGLISH: {
        "redelivery": "guide/restarts",
        "poison": "guide/restarts",
        "hot reload": "guide/gateway",
        "at least once": "concepts/guarantees",
        "backup": "recipes/backup",
        "two NoneBots": "recipes/two-bots",
    },
}
"""What is typed, and a page that is among the first three sections that are found."""

CHINESE_WORDS = ("搁置", "续传", "卡死", "队列", "重启", "指标", "类型")
"""Each of these is found in every section that has it."""

needs_npm = pytest.mark.skipif(NPM is None, reason="this system has no npm")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="this system has no Chromium")


def run(*command: str | Path, **options: Any) -> str:
    """Run a program in `docs/` to its end, and return what it has written to standard output."""
    done = subprocess.run(
        command, cwd=DOCS, capture_output=True, encoding="utf-8", timeout=600, **options
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the site, built by what package-lock.json names. It takes half a minute."""
    folder = tmp_path_factory.mktemp("site")
    if not (DOCS / "node_modules").is_dir():
        run(str(NPM), "ci", "--no-audit", "--no-fund")
    run(str(NPM), "run", "build", "--", "--outDir", folder / BASE)
    return folder


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP, and yield its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, name="site")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def addresses(language: str) -> set[str]:
    """Return the addresses of the pages of the site, without the front page."""
    found = [page.removeprefix("docs/").replace(".md", ".html") for page in site(language)]
    return {address for address in found if not address.endswith("index.html")}


def search(folder: Path, questions: list[str]) -> dict[str, dict[str, list[str]]]:
    """Return what the search of the site in `folder` finds: by language, by question.

    Of what is found, the path below the language's folder.
    """
    with serving(folder) as address:
        starts = {
            language: f"{address}/{BASE}/{below}reference/settings.html"
            for language, below in FOLDERS.items()
        }
        asked = json.dumps(dict.fromkeys(starts.values(), questions))
        script = ROOT / "tests" / "docs" / "search.mjs"
        answers = json.loads(run("node", script, DOCS, str(BROWSER), input=asked))
    return {
        language: {
            question: [found.partition(f"{BASE}/{FOLDERS[language]}")[2] for found in answer]
            for question, answer in zip(questions, answers[start], strict=True)
        }
        for language, start in starts.items()
    }


def sections(language: str) -> Iterator[tuple[str, str]]:
    """Yield each section of the site's pages: where it is, as the search says it, and its text.

    The headings above it are found too.
    """
    for page in site(language):
        inside = page.removeprefix("docs/").removeprefix("en/")
        path = re.sub(r"(^|/)index\.html$", r"\1", inside.replace(".md", ".html"))
        text = re.sub(r"<!--.*?-->|\]\([^)]*\)", "", read(page), flags=re.DOTALL)
        fences = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
        masked = fences.sub(lambda block: block[0].replace("\n#", "\n "), text)
        parts = re.split(r"^(?=#+ )", masked, flags=re.MULTILINE)[1:]
        above: list[str] = []
        for part, anchor in zip(parts, anchors(page, on_site=True), strict=True):
            marks, _, heading = part.partition("\n")[0].partition(" ")
            above[len(marks) - 1 :] = [heading]
            yield f"{path}#{anchor}", "\n".join([*above, part])


def test_lock_file_names_no_registry() -> None:
    """Whoever builds the site takes its packages from the registry that he uses."""
    assert '"resolved"' not in read("docs/package-lock.json")


@needs_npm
@pytest.mark.long
def test_site_builds_and_its_search_finds(built: Path) -> None:
    """Each page has its headings and its place in the sidebar; people find what they look for."""
    for language in LANGUAGES:
        for page in site(language):
            file = (built / BASE / page.removeprefix("docs/")).with_suffix(".html")
            html = file.read_text(encoding="utf-8")
            ids = re.findall(r'<h[1-6] id="([^"]+)"', html)
            assert ids == anchors(page, on_site=True), page
            assert not re.search(r"[\u4e00-\u9fff，。；]\n[\u4e00-\u9fff]", html), page
            listed = set(re.findall(rf'href="/{BASE}/([^"#]+)"', html))
            if not page.endswith("index.md"):
                assert addresses(language) <= listed, f"the sidebar of {page} has all pages"
    for path in re.findall(r"\]\((en/\S+)\)", (built / BASE / "llms.txt").read_text("utf-8")):
        assert (built / BASE / path).is_file(), path
    if BROWSER is None:
        pytest.skip("it builds; this system has no Chromium to search it with")
    subjects = [question for some in SUBJECTS.values() for question in some]
    found = search(built, [*QUESTIONS, *subjects, *CHINESE_WORDS])
    for language, answers in found.items():
        for question, page in SUBJECTS[language].items():
            assert f"{page}.html" in [to.partition("#")[0] for to in answers[question][:3]], (
                question
            )
        firsts = {question: (answers[question] or [""])[0] for question in QUESTIONS}
        assert firsts == {question: f"reference/{to}" for question, to in QUESTIONS.items()}, (
            language
        )
    for word in CHINESE_WORDS:
        having = {where for where, text in sections(CHINESE) if word in text}
        assert having, word
        answer = found[CHINESE][word]
        assert set(answer) <= having, word
        assert len(answer) == min(SHOWN, len(having)), word


@needs_npm
@needs_browser
@pytest.mark.long
def test_search_finds_everything_in_the_reference(built: Path) -> None:
    """Each setting, error, command and metric by its name, among the first three."""
    expected = {}
    for page, level in (("settings", 3), ("errors", 2), ("cli", 2), ("metrics", 2)):
        text = read(f"docs/en/reference/{page}.md")
        for name in re.findall(rf"^{'#' * level} `(.+)`$", text, re.MULTILINE):
            expected[name] = f"reference/{page}.html#{re.sub(r'[^a-z0-9]+', '-', name.lower())}"
    del expected["liteyuki"]  # A word of most sections.
    found = search(built, list(expected))
    for language, answers in found.items():
        missed = {
            name: answers[name][:3] for name, to in expected.items() if to not in answers[name][:3]
        }
        assert not missed, language

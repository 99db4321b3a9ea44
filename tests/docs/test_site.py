"""The site: it builds, and its search finds what people look for, in a real browser."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DOCS = ROOT / "docs"
BASE = "nonebot-plugin-liteyuki-comm"
"""The folder of the site on its host: `base` in the site's configuration."""

NPM = shutil.which("npm")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")

QUESTIONS = {
    # Found by the first answer, in each language: settings, errors, commands, laws.
    "": [
        ("LITEYUKI_MAX_REDELIVERIES", "reference/settings.html#liteyuki-max-redeliveries"),
        ("搁置", "reference/settings.html#liteyuki-max-redeliveries"),
    ],
    "en/": [
        ("LITEYUKI_MAX_REDELIVERIES", "reference/settings.html#liteyuki-max-redeliveries"),
        ("max_redeliv", "reference/settings.html#liteyuki-max-redeliveries"),
    ],
}


def run(*command: str | Path, **options: Any) -> str:
    """Run a program in `docs/` to its end, and return what it has written to standard output."""
    done = subprocess.run(
        command, cwd=DOCS, capture_output=True, encoding="utf-8", timeout=600, **options
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


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


@pytest.mark.skipif(NPM is None, reason="this system has no npm")
def test_site_builds_and_finds(tmp_path: Path) -> None:
    """One build, because it takes half a minute: its links lead somewhere, its search finds."""
    if not (DOCS / "node_modules").is_dir():
        run(str(NPM), "ci", "--no-audit", "--no-fund")
    run(str(NPM), "run", "build", "--", "--outDir", tmp_path / BASE)
    if BROWSER is None:
        pytest.skip("it was built; this system has no Chromium to search it with")
    with serving(tmp_path) as address:
        asked = [
            (f"{address}/{BASE}/{language}reference/settings.html", words, expected)
            for language, some in QUESTIONS.items()
            for words, expected in some
        ]
        questions = json.dumps([question[:2] for question in asked])
        script = ROOT / "tests" / "docs" / "search.mjs"
        answers = json.loads(run("node", script, DOCS, BROWSER, input=questions))
        wrong = [
            (words, answer[:3])
            for (page, words, expected), answer in zip(asked, answers, strict=True)
            if not answer or not answer[0].endswith(expected)
        ]
        assert not wrong

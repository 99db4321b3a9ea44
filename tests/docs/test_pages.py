"""Both languages of all pages: they are alike, their links lead somewhere, names are spelled right.

That the examples run is tested by tests/test_docs.py, that the reference is complete by
test_reference.py.
"""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby

import pytest

from tests.conftest import ROOT
from tests.docs.pages import (
    ENGLISH,
    FILE,
    KINDS,
    LANGUAGES,
    PRINTS,
    PROJECT,
    READMES,
    RUN,
    all_blocks,
    anchors,
    blocks,
    headings,
    in_chinese,
    names,
    pages,
    prose,
    read,
    site,
    without_comments,
)

EVERY_PAGE = [page for language in LANGUAGES for page in pages(language)]
REPOSITORY = "https://github.com/LiteyukiStudio/nonebot-plugin-liteyuki-comm"
QUICK_START = (
    "python -m pip install -e . && python bot.py",
    'python -m pip install -e ".[test]" && python -m pytest',
)
SPELLED = (
    *("NoneBot", "NoneBot2", "LiteyukiBot", "OneBot", "NapCat", "Lagrange", "Satori", "nonebug"),
    *("Python", "asyncio", "pytest", "pydantic", "loguru", "uvicorn", "uvloop", "FastAPI", "PyPI"),
    *("Linux", "macOS", "Windows", "systemd", "Docker", "PowerShell", "GitHub", "VitePress"),
    *("SQLite", "Redis", "Prometheus", "OpenAPI", "WebSocket", "WebSockets"),
    *("Apprise", "DingTalk", "Feishu", "WeCom", "Telegram"),
)


# ------------------------------------------------------------- two languages


def test_both_languages_have_the_same_pages() -> None:
    """Each English page has a Chinese one, and the other way round."""
    assert sorted(map(in_chinese, pages(ENGLISH))) == sorted(pages(LANGUAGES[1]))


@pytest.mark.parametrize("page", pages(ENGLISH))
def test_both_languages_have_the_same_headings_and_blocks(page: str) -> None:
    """Heading by heading, block by block and table by table they are alike."""
    levels, codes, tables = [], [], []
    for each in (page, in_chinese(page)):
        levels.append([level for level, _ in headings(each)])
        codes.append([(*b[:3], without_comments(b)) for b in blocks(each)])
        rows = [line for line in prose(each).splitlines() if line.startswith(("|", "- "))]
        tables.append([(kind, len(list(same))) for kind, same in groupby(rows, lambda r: r[0])])
    assert levels[0] == levels[1]
    assert codes[0] == codes[1]
    assert tables[0] == tables[1]


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_page_has_one_title(page: str) -> None:
    """Its first heading, alone on its level: the sidebar, the search and llms.txt have it."""
    found = headings(page)
    if not found and page.endswith("index.md"):
        return  # The front page of a language has its title elsewhere.
    assert [level for level, _ in found].count(1) == 1
    assert found[0][0] == 1


# ------------------------------------------------------------- blocks of code


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_python_block_compiles_and_is_run(language: str) -> None:
    """None is there that no test runs."""
    python = [b for b in all_blocks(language) if b.language == "python"]
    assert python
    for b in python:
        compile(b.text, b.name, "exec")
        assert b.kind in (RUN, PROJECT, FILE), b.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_block_has_a_name_of_its_own(language: str) -> None:
    """So it is clear which one runs. Each kind is one that tests know."""
    found = Counter((b.kind, b.name) for b in all_blocks(language) if b.kind)
    assert not [name for name, count in found.items() if count > 1]
    assert {kind for kind, _ in found} <= set(KINDS)
    programs = {name for kind, name in found if kind == RUN}
    assert programs <= {name for kind, name in found if kind == PRINTS}


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_a_comment_stands_right_above_its_block(page: str) -> None:
    """Otherwise no test would see it, and the block would not be run."""
    comments = re.findall(rf"^<!-- (?:{'|'.join(KINDS)}): ", read(page), re.MULTILINE)
    assert len(comments) == len([b for b in blocks(page) if b.kind])


def test_every_variant_of_a_project_is_run() -> None:
    """A file "NAME with SOMETHING" is in a project only if a test names it."""
    tests = read("tests/test_docs.py")
    variants = [name for name in names(PROJECT) if " with " in name]
    unused = [name for name in variants if f'"{name}"' not in tests]
    assert not [name for name in unused if f'"{name.partition(" with ")[2]}"' not in tests]


@pytest.mark.parametrize("readme", READMES.values())
def test_readme_has_200_lines_at_most(readme: str) -> None:
    """What is longer goes to a page of the site."""
    assert len(read(readme).splitlines()) <= 200


@pytest.mark.parametrize("readme", READMES.values())
def test_quick_start_is_two_commands(readme: str) -> None:
    """Each stands alone in a block, once; CI takes the second from there."""
    bash = [b.text for b in blocks(readme) if b.language == "bash"]
    for command in QUICK_START:
        assert bash.count(command + "\n") == 1
        assert read(readme).splitlines().count(command) == 1


@pytest.mark.parametrize("language", LANGUAGES)
def test_files_that_are_shown_are_those_of_the_project(language: str) -> None:
    """Such as both halves of the documented example, letter for letter; the README has them."""
    shown = {b.name: b.text for b in all_blocks(language) if b.kind == FILE}
    assert shown == {name: read(name) for name in shown}
    assert len([b for b in blocks(READMES[language]) if b.kind == FILE]) == 2


# ------------------------------------------------------------- links


def links(page: str) -> list[str]:
    """Return what the links and pictures of a document point to."""
    text = re.sub(r"`[^`\n]*`", "", prose(page))
    return re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)


FOR_CONTRIBUTORS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "HOUSE.md", "SECURITY.md", "CHANGELOG.md")


@pytest.mark.parametrize("page", [*EVERY_PAGE, *FOR_CONTRIBUTORS])
def test_links_lead_there(page: str) -> None:
    """To a file of this project and a heading in it; from a page of the site, to another one."""
    on_site = page.startswith("docs/")
    wrong = []
    for link in links(page):
        target, _, anchor = link.partition("#")
        if target.startswith((f"{REPOSITORY}/blob/main/", f"{REPOSITORY}/tree/main/")):
            path = ROOT / target.removeprefix(REPOSITORY).split("/", 3)[3]
        elif "://" in target or target.startswith("mailto:"):
            continue
        elif target.startswith("/"):
            path = ROOT / "docs" / "public" / target[1:]
        else:
            path = (ROOT / page).parent / target if target else ROOT / page
        inside = not on_site or "://" in target or ROOT / "docs" in path.resolve().parents
        found = path.exists() and inside
        if found and anchor and path.suffix == ".md":
            name = path.resolve().relative_to(ROOT).as_posix()
            found = anchor in anchors(name, on_site=on_site)
        if not found:
            wrong.append(link)
    assert not wrong


# ------------------------------------------------------------- names


@pytest.mark.parametrize("page", EVERY_PAGE)
def test_names_are_spelled_right(page: str) -> None:
    """In prose. What is code is as the code has it."""
    text = re.sub(r"<!--.*?-->|``[^`]+``|`[^`]+`|\]\([^)]*\)|https?://\S+", " ", prose(page))
    wrong = [
        found
        for name in SPELLED
        for found in re.findall(rf"(?<![\w./@-]){name}(?![\w/@-]|\.\w)", text, re.IGNORECASE)
        if found != name
    ]
    assert not wrong


def test_the_site_has_pages() -> None:
    """The tests above have something to read."""
    assert all(site(language) for language in LANGUAGES)

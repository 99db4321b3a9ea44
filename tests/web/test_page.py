"""The page's files: their weight, their words, their types, and what none of them may do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pydantic import BaseModel

from liteyuki_core.control import models
from liteyuki_core.web import static

PAGE = static.FOLDER
MODULES = sorted(path.name for path in PAGE.glob("*.js"))
WORD = re.compile(r"""^  (.+): \["(.+)", "(.+)"\],$""", re.MULTILINE)
INTERFACE = re.compile(r"export interface (\w+)(?: extends (\w+))? \{\n(.*?)\n\}", re.DOTALL)


def read(name: str) -> str:
    """Return the text of a file of the page."""
    return (PAGE / name).read_text(encoding="utf-8")


def test_it_is_light() -> None:
    files = [file for name, file in static.read().items() if not name.startswith("entry")]
    assert sum(len(file.content) for file in files) < 150_000
    assert sum(len(file.packed or file.content) for file in files) < 60_000


def test_the_first_answer_names_all_modules() -> None:
    """So that a browser asks for them at once, and not for one after another."""
    linked = re.findall(r'(?:href|src)="(\w+\.js)"', read("index.html"))
    assert sorted(linked) == MODULES


def test_both_languages_have_the_same_words() -> None:
    words = WORD.findall(read("words.js"))
    assert len(words) > 150
    for key, english, chinese in words:
        # What is counted has one form in Chinese; a singular may do without its number.
        fields = [set(re.findall(r"\{\w+\}", text)) for text in (english, chinese)]
        assert fields[0] == fields[1], key


@pytest.mark.parametrize("name", MODULES)
def test_nothing_becomes_markup_or_code(name: str) -> None:
    text = read(name)
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert word not in text
    assert not re.search(r"""https?://(?!www\.w3\.org/2000/svg)""", text)


def test_pages_have_no_inline_script_or_style() -> None:
    for path in PAGE.glob("*.html"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"<style|style=|\son\w+=|<script(?![^>]*\ssrc=)", text)


def test_types_are_those_of_the_api() -> None:
    found: dict[str, tuple[str, set[str]]] = {
        name: (base, set(re.findall(r"^  (\w+):", body, re.MULTILINE)))
        for name, base, body in INTERFACE.findall(read("types.d.ts"))
    }
    assert len(found) > 15
    for name, (base, fields) in found.items():
        if name == "Session":
            continue
        model: Any = getattr(models, name)
        assert issubclass(model, BaseModel)
        assert fields | (found[base][1] if base else set()) == set(model.model_fields), name

"""The language of what an operator reads in the log: Chinese or English, by LITEYUKI_LOG_LANG.

The English templates stand where they are used, with fields as `str.format` has them. Their
Chinese is in `chinese.py`, which is imported when the first text is said in Chinese. What programs
read, such as the texts of errors, stays English.

There is one language a process. `log.configure` says which; until then the environment does. Any
thread may say something. Under a lock it only makes a `Phrase`: to say that may import a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import reduce

_language: str | None = None
_chinese: dict[str, str] | None = None


def from_environment() -> str:
    """Return what LITEYUKI_LOG_LANG says: "en" or "zh"."""
    return "en" if os.environ.get("LITEYUKI_LOG_LANG", "").lower() == "en" else "zh"


def use(language: str) -> None:
    """Say everything in this language from now on."""
    global _language
    _language = language


def current() -> str:
    """Return the operator's language: "en" or "zh"."""
    return _language or from_environment()


def say(template: str, /, **fields: object) -> str:
    """Return a text in the operator's language. `fields` are what the template has in braces."""
    return _in_language(template).format(**fields)


class Phrase:
    """A text that is said when it is shown, and that programs may read in English.

    `str` says it in the operator's language. A field of a text may be a phrase. Phrases are equal
    if they are in English.
    """

    __slots__ = ("_fields", "_template")

    def __init__(self, template: str, /, **fields: object) -> None:
        self._template = template
        self._fields = fields

    def __str__(self) -> str:
        return say(self._template, **self._fields)

    def __repr__(self) -> str:
        return f"Phrase({self.english!r})"

    def __eq__(self, other: object) -> bool:
        return self.english == other.english if isinstance(other, Phrase) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.english)

    @property
    def english(self) -> str:
        """The text for programs: for errors, answers and names."""
        return self.said_in("en")

    def said_in(self, language: str) -> str:
        """Return the text in a language, "en" or "zh", whichever the operator's is."""
        fields = {
            name: value.said_in(language) if isinstance(value, Phrase) else value
            for name, value in self._fields.items()
        }
        template = self._template if language == "en" else _in_chinese(self._template)
        return template.format(**fields)


def listed(items: Iterable[object]) -> object:
    """Return several things as one field of a text. There must be one at least."""
    return reduce(
        lambda first, second: Phrase("{first} and {second}", first=first, second=second), items
    )


def _in_language(template: str) -> str:
    global _language
    if _language is None:
        _language = from_environment()
    return template if _language == "en" else _in_chinese(template)


def _in_chinese(template: str) -> str:
    global _chinese
    if _chinese is None:
        from .chinese import CHINESE

        _chinese = CHINESE
    return _chinese.get(template, template)

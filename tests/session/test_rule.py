"""Rules: how they are combined, what they may be made of, what they raise."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from liteyuki_core.session import SUPERUSER, MessageEvent, Rule
from tests.session.chat import made


def has(letter: str) -> Rule:
    """Return a rule: the text has a letter in it."""
    return Rule(lambda event: letter in event.text)


async def has_b(event: MessageEvent) -> bool:
    """Look for a "b", asynchronously."""
    await asyncio.sleep(0)
    return "b" in event.text


def raises(event: MessageEvent) -> bool:
    """Raise."""
    raise ZeroDivisionError("in a rule")


@pytest.mark.parametrize(
    ("rule", "texts"),
    [
        (has("a"), {"a", "ab", "abc"}),
        (~has("a"), {"", "b"}),
        (has("a") & has_b, {"ab", "abc"}),
        (has_b & has("a"), {"ab", "abc"}),
        (has("a") | has_b, {"a", "b", "ab", "abc"}),
        (has_b | ~has("a"), {"", "b", "ab", "abc"}),
        (has("a") & ~(Rule(has_b) & has("c")), {"a", "ab"}),
        (has("a") & None, {"a", "ab", "abc"}),
        (None & has("a"), {"a", "ab", "abc"}),
        (has("a") | raises, {"a", "ab", "abc"}),
        (~has("a") & raises, set()),
    ],
)
async def test_combinations(rule: Rule, texts: set[str]) -> None:
    """The rule lets these of all texts through; a second part is asked only if it matters."""
    found = set()
    for text in ("", "a", "b", "ab", "abc"):
        try:
            found |= {text} if await rule(made(text)) else set()
        except ZeroDivisionError:
            assert text not in texts
    assert found == texts


@pytest.mark.parametrize(
    "rule", [Rule(raises), ~Rule(raises), raises & has("a"), has("x") | raises]
)
async def test_what_a_rule_raises_is_raised(rule: Rule) -> None:
    """Turned round by `~`, an error is still no yes."""
    with pytest.raises(ZeroDivisionError, match="in a rule"):
        await rule(made("a"))


@pytest.mark.parametrize("wrong", [None, "a", 1])
def test_what_is_no_rule(wrong: Any) -> None:
    """It raises where it is given."""
    with pytest.raises(TypeError, match="a rule is a function that gets the event"):
        Rule(wrong)
    with pytest.raises(TypeError, match="a rule is a function that gets the event"):
        has("a") | wrong


async def test_superuser() -> None:
    """NoneBot's SUPERUSERS are known in the child, which says so."""
    assert await SUPERUSER(made(superuser=True))
    assert not await SUPERUSER(made())
    assert await (~SUPERUSER)(made())

"""What is shown as it comes: messages of a channel, changes of the store.

Tests cli/tail.py, cli/store.py and cli/following.py.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.cli.conftest import Liteyuki
from tests.program import Program

Following = Callable[..., AbstractContextManager[Program]]


@pytest.fixture
def following(here: Path, environment: dict[str, str]) -> Following:
    """Return a context in which a command goes on, until Ctrl+C, which must end it well."""

    @contextmanager
    def run(*arguments: str) -> Iterator[Program]:
        command = [sys.executable, "-m", "liteyuki_core.cli", *arguments]
        program = Program(command, here, {**environment, "LITEYUKI_LOG_LANG": "en"})
        try:
            yield program
            assert program.stop() == 0
            assert not program.found("Traceback|Aborted")
        finally:
            program.close()

    return run


def until_shown(following: Program, act: Callable[[], object], pattern: str) -> re.Match[str]:
    """Do something until it is shown: nobody sees when a command has begun to look."""

    def shown() -> list[re.Match[str]]:
        act()
        return following.found(pattern)

    (first, *_) = following.wait_until(shown, f"a line with {pattern!r}")
    return first


def test_messages(bot: Program, liteyuki: Liteyuki, following: Following) -> None:
    """A line for each, without what it says."""
    with following("tail", "echo-active") as shown:
        line = until_shown(
            shown,
            lambda: liteyuki("send", "echo-active", '"secret"'),
            r"^\d\d:\d\d:\d\d\.\d{3}  main -> echo  #\d+  6 B  text$",
        )
        shown.wait_for_line("  echo -> main  #")
        assert line
        assert not shown.found("secret|again|request")


def test_bodies_and_what_is_given_again(
    bot: Program, liteyuki: Liteyuki, following: Following
) -> None:
    """Texts are shown where they are asked for."""
    with following("tail", "--bodies", "fragile-active") as shown:
        until_shown(shown, lambda: liteyuki("send", "fragile-active", '"轻雪"'), '  "轻雪"$')
        liteyuki("send", "fragile-active", '"die"')
        shown.wait_for_line('  main -> fragile  #\\d+  3 B  text  again  "die"$', count=2)


def test_messages_as_json(bot: Program, liteyuki: Liteyuki, following: Following) -> None:
    """A document a line, with keys that scripts depend on."""
    with following("tail", "echo-active", "--json") as shown:
        match = until_shown(shown, lambda: liteyuki("send", "echo-active", "[1]"), "^{.*}$")
        assert set(json.loads(match[0])) == {
            *("time", "channel", "number", "direction", "kind", "sender", "receiver", "size"),
            *("form", "redelivered", "body"),
        }


def test_a_channel_that_is_not_there(bot: Program, liteyuki: Liteyuki) -> None:
    """It is said at once."""
    assert liteyuki("tail", "x", code=1).startswith("no channel is named 'x' (there are: ")


def test_changes_of_the_store(bot: Program, liteyuki: Liteyuki, following: Following) -> None:
    """What is set, deleted and has expired; what is no plain data has a size."""
    with following("store", "watch", "a/") as shown:
        until_shown(
            shown, lambda: liteyuki("store", "set", "a/k", '["轻雪"]'), r'  a/k = \["轻雪"\]$'
        )
        liteyuki("store", "delete", "a/k")
        shown.wait_for_line("  a/k is deleted$")
        liteyuki("store", "set", "a/s", "1", "--ttl", "0.05")
        shown.wait_for_line("  a/s has expired$")
        liteyuki("store", "set", "b", "1")
        liteyuki("store", "set", "a/last", "1")
        shown.wait_for_line("  a/last = 1$")
        assert not shown.found("  b = ")
    with following("store", "watch") as shown:
        until_shown(
            shown,
            lambda: liteyuki("send", "echo-active", '"custom"'),
            r"  custom is set to \d+ B that are no plain data$",
        )


def test_changes_as_json(bot: Program, liteyuki: Liteyuki, following: Following) -> None:
    """A document a line, with keys that scripts depend on."""
    with following("store", "watch", "--json") as shown:
        match = until_shown(shown, lambda: liteyuki("store", "set", "k", "1"), "^{.*}$")
        assert set(json.loads(match[0])) == {
            *("time", "key", "deleted", "expired", "size", "plain", "value"),
        }


def test_it_ends_with_the_bot(bot: Program, liteyuki: Liteyuki, following: Following) -> None:
    """And says so."""
    with following("tail", "echo-active") as shown:
        until_shown(shown, lambda: liteyuki("send", "echo-active", "1"), "main -> echo")
        assert bot.stop() == 0
        assert shown.wait() == 0
        assert shown.lines[-1] == "the bot has ended"

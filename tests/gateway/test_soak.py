"""Accounts that speak all the time and never connect again, whatever happens to the child.

The whole of laws 3 to 6, with real reloads. With --long for as long as the issue says.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway.client import GROUP, V11, V12, Client
from tests.gateway.project import ONEBOT, Bot, bot
from tests.program import Environment, write_files

NUMBERED = "tests.children.numbered_plugin"
GROUPS = 7
EVERY = 0.005
TOKEN = "a-token-of-this-test"

RELOADED = """
    from nonebot import get_driver

    number = {number}

    @get_driver().on_startup
    async def begin():
        {body}
"""


class Speaker(Client):
    """An account that says one number after the other."""

    def __init__(self, address: str, account: int, version: int, token: str | None) -> None:
        super().__init__(
            address,
            account,
            version=version,
            token=token,
            answers=lambda call: (
                {"of": call["params"]["asked"]}
                if call["action"] == "get_info"
                else {"message_id": "1", "time": 1.0}
            ),
        )
        self.count = 0

    def speak(self) -> None:
        """Say the next number, in the group that it belongs to."""
        self.say(f"{self.account} {self.count}", self.count, GROUP + self.count % GROUPS)
        self.count += 1

    def heard(self) -> list[tuple[int, int]]:
        """Return which numbers were answered, and by which process, in order."""
        return [(int(text.split()[1]), pid) for text, pid in self.said]

    def wait_for_all(self) -> None:
        """Wait until every number is answered."""
        self.wait_as_long_as_it_speaks(
            lambda: {number for number, _ in self.heard()} == set(range(self.count)),
            f"all {self.count} numbers of {self.account} are answered",
        )

    def check(self, killed: set[int]) -> None:
        """Check that all is as the laws say. `killed` are the processes that were killed."""
        heard = self.heard()
        assert {number for number, _ in heard} == set(range(self.count))
        firsts = list(dict.fromkeys(number for number, _ in heard))
        for group in range(GROUPS):
            of_group = [number for number in firsts if number % GROUPS == group]
            assert of_group == sorted(of_group)
        for number, times in Counter(number for number, _ in heard).items():
            if times > 1:  # It was in the hands of processes that were killed.
                *before, _ = [pid for each, pid in heard if each == number]
                assert set(before) <= killed
        assert self.closed is None


def events(reloads: int, kills: int) -> list[tuple[float, str]]:
    """Return what happens to the child, evenly mixed, and when, as shares of the whole time."""
    found = [((each + 0.5) / reloads, "reload") for each in range(reloads)]
    found += [((each + 0.6) / kills, "kill") for each in range(kills)]
    return sorted([*found, (0.45, "break")])


class Story:
    """What happens to the children of one bot, told by a thread."""

    def __init__(
        self, running: Bot, names: list[str], seconds: float, happens: list[tuple[float, str]]
    ) -> None:
        self._bot = running
        self._names = names
        self._seconds = seconds
        self._happens = happens
        self._versions = 0
        self._thread = threading.Thread(target=self._tell, name="story")
        self.killed: set[int] = set()
        self.is_over = False

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _tell(self) -> None:
        begun = time.monotonic()
        try:
            for share, what in [*self._happens, (1.0, "end")]:
                time.sleep(max(0.0, begun + share * self._seconds - time.monotonic()))
                self._let_happen(what)
        finally:
            self.is_over = True

    def _let_happen(self, what: str) -> None:
        if what == "kill":
            name = self._names[len(self.killed) % len(self._names)]
            self.killed.add(self._bot.order("RUNNING", name))
            self._bot.order("kill", name)
        elif what == "break":
            self._edit("raise RuntimeError('a broken edit')", "a broken edit")
            self._reload()
        elif what == "reload":
            self._reload()

    def _reload(self) -> None:
        self._edit("pass", *(rf"process {name} is ready" for name in self._names))

    def _edit(self, body: str, *lines: str) -> None:
        self._versions += 1
        counts = [len(self._bot.program.found(line)) + 1 for line in lines]
        text = RELOADED.format(number=self._versions, body=body)
        write_files(self._bot.folder, {"reloaded.py": text})
        for line, count in zip(lines, counts, strict=True):
            self._bot.program.wait_for_line(line, count, timeout=60)


ONE, TWO = ["nonebot"], ["nonebot", "nonebot-1"]
SHORT, LONG = (5.0, 2, 2), (60.0, 10, 5)
"""Seconds, reloads and kills."""


@pytest.mark.parametrize(
    ("version", "accounts", "token", "names", "extent"),
    [
        pytest.param(V11, 1, None, ONE, SHORT, id="v11"),
        pytest.param(V12, 2, TOKEN, TWO, SHORT, id="v12, all of it", marks=pytest.mark.long),
        *[
            pytest.param(version, accounts, token, names, LONG, marks=pytest.mark.long)
            for version, accounts, token, names in (
                (V11, 1, None, ONE),
                (V11, 2, TOKEN, ONE),
                (V11, 1, None, TWO),
                (V12, 2, TOKEN, TWO),
            )
        ],
    ],
)
def test_nothing_is_lost(
    tmp_path: Path,
    environment: Environment,
    version: int,
    accounts: int,
    token: str | None,
    names: list[str],
    extent: tuple[float, int, int],
) -> None:
    """No disconnect; every number is answered, in order; doubles only from killed hands."""
    seconds, reloads, kills = extent
    write_files(tmp_path, {**ONEBOT, "reloaded.py": RELOADED.format(number=0, body="pass")})
    more = {"LITEYUKI_RELOAD": "true", "LOG_LEVEL": "WARNING"}
    if token is not None:
        more["ONEBOT_ACCESS_TOKEN"] = token
    with ExitStack() as stack:
        kind = "gateway" if names is ONE else "replicas"
        running = stack.enter_context(
            bot(tmp_path, environment, NUMBERED, "reloaded", kind=kind, **more)
        )
        speakers = [
            stack.enter_context(Speaker(running.address, 1 + each, version, token))
            for each in range(accounts)
        ]
        story = Story(running, names, seconds, events(reloads, kills))
        with story:
            while not story.is_over:
                for each in speakers:
                    each.speak()
                time.sleep(EVERY)
        for each in speakers:
            each.wait_for_all()
            each.check(story.killed)
        assert len(running.program.found("was ended by signal 9")) == kills
        assert not running.program.found("a call for")

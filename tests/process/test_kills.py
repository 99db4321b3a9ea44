"""Real children that are killed, stopped and started again while messages flow: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from liteyuki_core.testing import App
from tests.children import kills
from tests.conftest import a_little
from tests.program import running_program, went_well

Environment = dict[str, str]


@a_little(5, 10)
def test_kills_lose_nothing(tmp_path: Path, environment: Environment, times: int) -> None:
    """At any moment, also while it starts; order is kept, and only what was under way comes again.

    The child handles its two channels, by ordered callbacks and by receive(), and one that it
    made itself, by callbacks that run beside each other.
    """
    more = {"LITEYUKI_MAX_REDELIVERIES": "1000"}
    with running_program(tmp_path, environment, "flow:with_kills", str(times), **more) as bot:
        went_well(bot)


def test_restarts_that_are_asked_for_lose_nothing(tmp_path: Path, environment: Environment) -> None:
    """restart_process, stop_process and start_process, and asking twice for the same."""
    with running_program(tmp_path, environment, "flow:with_restarts") as bot:
        went_well(bot, "process w exited with code 0; it is started again")
        assert not bot.found("crash|set aside|has not stopped")


def test_stop_and_start(tmp_path: Path, environment: Environment) -> None:
    """A stopped child stays stopped; what it had not handled waits until it is started."""
    with running_program(tmp_path, environment, "kills:stop_and_start") as bot:
        went_well(bot, "refused: ChannelClosed channel w-active: process w exited with code 0")
        assert (
            len(bot.found(r"^ProcessNotFound no process is named 'nobody' \(there are: w\)")) == 3
        )


def test_a_process_whose_channel_is_closed_is_started_again(liteyuki_app: App) -> None:
    """The successor runs without it; what it is used for says that it is gone."""
    liteyuki_app.add("w", kills.uses_active)
    liteyuki_app.ready("w")
    passive = liteyuki_app.channel("w-passive")
    passive.send("use it")
    passive.should_receive("sent")
    liteyuki_app.channel("w-active").channel.close()
    for error in ("ChannelClosed", "ChannelNotFound"):
        passive.send("use it")
        passive.should_receive(error)
        liteyuki_app.kill("w")
        liteyuki_app.ready("w")


def test_big_messages_and_kills(tmp_path: Path, environment: Environment) -> None:
    """A message that is half sent when its process dies is whole or not there."""
    # The same block may be in hand each time.
    with running_program(
        tmp_path, environment, "kills:big_messages", LITEYUKI_MAX_REDELIVERIES="1000"
    ) as bot:
        went_well(bot)


@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_child_that_never_comes_back(tmp_path: Path, environment: Environment, door: str) -> None:
    """Its restarts are used up: what it had sent is received, then ChannelBroken says how it was.

    Messages that wait for it are no reason to wait for ever.
    """
    with running_program(
        tmp_path, environment, "kills:given_up", door, LITEYUKI_MAX_REDELIVERIES="9"
    ) as bot:
        why = "channel w-active: process w exited with code 9"
        went_well(bot, f"^3 received, then {why}", f"^send: {why}")
        assert len(bot.found("ERROR.*process w exited with code 9.*it is started again in")) == 2
        assert len(bot.found("CRITICAL.*started again 2 times in 60 s and is given up")) == 1
        assert bot.found("WARNING.*channel w-active has ended with 4 messages")


def test_a_poison_message(tmp_path: Path, environment: Environment) -> None:
    """It crashes its process three times and is set aside; put back, it can be handled."""
    with running_program(tmp_path, environment, "kills:poison") as bot:
        went_well(
            bot,
            "^<DeadLetter channel='w-active' process='w' size=6 crashes=3 time=",
            r"ERROR\] channel w-active: a message of 6 bytes .* 3 crashes of process w in a row",
        )


@a_little(5, 10)
def test_child_to_child_with_kills(tmp_path: Path, environment: Environment, times: int) -> None:
    """What one child sends another by a channel that main only passes on survives the same."""
    more = {"LITEYUKI_MAX_REDELIVERIES": "1000"}
    with running_program(tmp_path, environment, "kills:child_to_child", str(times), **more) as bot:
        went_well(bot)

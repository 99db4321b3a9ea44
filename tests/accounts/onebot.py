"""A bot with a NoneBot child, and what a OneBot v11 implementation says of its account."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import free_port
from tests.program import Environment, Program, running_program, stopped_by_itself
from tests.session.onebot import Client

OF = "OneBot V11 10001 nonebot"
"""What the bot calls the account."""


@contextmanager
def running_bot(
    folder: Path, environment: Environment, *arguments: str, **settings: str
) -> Iterator[Program]:
    """Run `tests/children/accounts.py`; it must end as it should."""
    more = {"HOST": "127.0.0.1", "PORT": str(free_port()), **settings}
    with running_program(folder, environment, "accounts", *arguments, **more) as program:
        yield program
        assert program.stop() == 0, program.output
        assert stopped_by_itself(program), program.output


def beat(client: Client, online: bool) -> None:
    """Send a heartbeat as NapCat does."""
    status = {"online": online, "good": True}
    client.tell(post_type="meta_event", meta_event_type="heartbeat", status=status, interval=30000)


def fall_offline(client: Client) -> None:
    """Send the notice that NapCat sends when the account was logged out."""
    about = {"user_id": 10001, "tag": "KickedOffLine", "message": "x"}
    client.tell(post_type="notice", notice_type="bot_offline", **about)

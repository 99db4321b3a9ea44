"""Figures for Prometheus."""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Any

from liteyuki_core.control import Client
from liteyuki_core.control.metrics import text
from liteyuki_core.control.models import Account, Channel, Node, Status
from tests.control.conftest import CHILDREN
from tests.program import Program

LINE = re.compile(
    r"# (HELP|TYPE) liteyuki_\w+ .+"
    r'|liteyuki_\w+(\{[a-z]+="([^"\\\n]|\\["\\n])*"(,[a-z]+="([^"\\\n]|\\["\\n])*")*\})? [0-9.e+-]+'
)


def empty(now: datetime, accounts: list[Account]) -> Status:
    """Return the status of a bot without processes."""
    return Status(
        version="1",
        pid=1,
        directory="",
        started_at=now,
        uptime=1,
        ok=True,
        dead_letters=0,
        memory=None,
        cpu_seconds=None,
        processes=[],
        accounts=accounts,
    )


def test_a_running_bot_has_figures(bot: Program) -> None:
    """In the text format, each family once."""
    found = Client().text("/metrics")
    assert found.endswith("\n")
    for line in found.splitlines():
        assert LINE.fullmatch(line), line
    for name in CHILDREN:
        assert f'liteyuki_process_up{{process="{name}"}} 1.0' in found
    assert "liteyuki_dead_letters 0.0" in found
    types = re.findall(r"^# TYPE (\S+)", found, re.MULTILINE)
    assert len(types) == len(set(types)) == 10


def test_names_are_escaped() -> None:
    """A channel may have any name; what is not known has no line."""
    status = empty(datetime.now(timezone.utc), [])
    channel = Channel(
        name='a"b\\c\nd',
        sent=2,
        acknowledged=1,
        redelivered=0,
        dropped=0,
        backlog=1,
        capacity=9,
        bytes=1,
    )
    found = text(status, [channel], [])
    assert 'liteyuki_channel_backlog{channel="a\\"b\\\\c\\nd"} 1.0' in found
    assert "memory_bytes{" not in found
    assert "liteyuki_account_online{" not in found
    assert "liteyuki_node_up{" not in found
    for line in found.splitlines():
        assert LINE.fullmatch(line), line


def test_an_account_has_one_line() -> None:
    """Also if it is in two processes: it is online if it is in one of them."""
    now = datetime.now(timezone.utc)
    states: list[tuple[str, str, Any]] = [
        *(("1", "w", "online"), ("1", "x", "disconnected")),
        *(("2", "w", "offline"), ("2", "x", "disconnected")),
    ]
    accounts = [
        Account(adapter="A", id=id, process=process, state=state, since=now, nickname="n")
        for id, process, state in states
    ]
    lines = text(empty(now, accounts), [], []).splitlines()
    assert [line for line in lines if line.startswith("liteyuki_account")] == [
        'liteyuki_account_online{adapter="A",account="1"} 1.0',
        'liteyuki_account_online{adapter="A",account="2"} 0.0',
    ]


def test_nodes() -> None:
    """Those of the cluster: whether each runs."""
    now = datetime.now(timezone.utc)
    states: list[tuple[str, Any]] = [("a", "running"), ("b", "gone"), ("c", "stopped")]
    nodes = [
        Node(
            name=name,
            this=name == "a",
            state=state,
            ok=True,
            seen=now,
            channels=0,
            processes=[],
            accounts=[],
        )
        for name, state in states
    ]
    lines = text(empty(now, []), [], nodes).splitlines()
    assert [line for line in lines if line.startswith("liteyuki_node_up")] == [
        'liteyuki_node_up{node="a"} 1.0',
        'liteyuki_node_up{node="b"} 0.0',
        'liteyuki_node_up{node="c"} 0.0',
    ]

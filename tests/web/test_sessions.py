"""Tickets are for one use within their time; sessions end."""

from __future__ import annotations

from liteyuki_core.web import sessions
from liteyuki_core.web.sessions import Sessions
from tests.web.clock import Clock


def test_a_ticket_is_for_one_use() -> None:
    """It gives its right once."""
    found = Sessions(Clock())
    ticket = found.new_ticket("read")
    assert found.redeem(ticket) == "read"
    assert found.redeem(ticket) is None
    assert found.redeem("another") is None


def test_a_ticket_expires() -> None:
    """After 60 s, and one that is meant for a friend later."""
    clock = Clock()
    found = Sessions(clock)
    first, second, third = (found.new_ticket("change") for _ in range(3))
    friend = found.new_ticket("read", 3600)
    clock.now += 59.9
    assert found.redeem(first) == "change"
    clock.now += 0.2
    assert found.redeem(second) is None
    found.new_ticket("read")  # Those that are too old are forgotten then.
    assert found.redeem(third) is None
    clock.now += 3000
    assert found.redeem(friend) == "read"


def test_a_session_has_its_own_secrets() -> None:
    """No two have one in common, and what the log shows is none."""
    found = Sessions(Clock())
    secret, session = found.begin("change")
    other, second = found.begin("change")
    assert len({secret, other, session.csrf, second.csrf, session.name, second.name}) == 6
    assert found.find(secret) is session
    assert found.find(session.csrf) is None
    assert found.find(session.name) is None
    assert session.name not in secret


def test_a_session_ends() -> None:
    """When it is ended, when nobody uses it for 12 hours, and after 7 days."""
    clock = Clock()
    found = Sessions(clock)
    ended, session = found.begin("change")
    found.end(session)
    found.end(session)
    assert session.over
    assert found.find(ended) is None
    idle, _ = found.begin("change")
    used, session = found.begin("change")
    for _ in range(15):
        clock.now += 11 * 3600
        assert found.find(used) is session
    assert found.find(idle) is None
    clock.now += 4 * 3600
    assert found.find(used) is None
    assert session.over


def test_there_are_so_many_at_most() -> None:
    """The ticket that is oldest is forgotten, and the session that was not used for longest."""
    clock = Clock()
    found = Sessions(clock)
    tickets = [found.new_ticket("read") for _ in range(sessions._MOST_TICKETS + 1)]
    assert found.redeem(tickets[0]) is None
    assert found.redeem(tickets[1]) == "read"
    begun = []
    for _ in range(sessions._MOST_SESSIONS):
        clock.now += 1
        begun.append(found.begin("read")[0])
    clock.now += 1
    assert found.find(begun[0]) is not None
    found.begin("read")
    assert found.find(begun[0]) is not None
    assert found.find(begun[1]) is None

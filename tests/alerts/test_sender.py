"""The sender of alerts, with apprise and real receivers: what goes out, and what never does.

Tests alerts/sender.py and alerts/recent.py.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from liteyuki_core.alerts import recent
from liteyuki_core.alerts import sender as module
from liteyuki_core.alerts.sender import Sender
from liteyuki_core.comm.loop.worker import Threads
from liteyuki_core.errors import ConfigError
from tests.accounts.conftest import logged as logged
from tests.alerts.receivers import PASSWORD, Web, mail_server, web
from tests.conftest import DEADLINE

PER_HOUR = 3


@pytest.fixture
def receiver() -> Iterator[Web]:
    """A server that takes alerts."""
    with web() as made:
        yield made


@pytest.fixture
async def threads() -> AsyncIterator[Threads]:
    """Worker threads, as the bot has them."""
    made = Threads()
    yield made
    made.close()


Make = Callable[..., Sender]


@pytest.fixture
async def make(threads: Threads) -> AsyncIterator[Make]:
    """Make senders; all that they have to send is sent at the end."""
    made: list[Sender] = []

    def new(*urls: str, per_hour: int = PER_HOUR) -> Sender:
        sender = Sender(urls, per_hour, threads.run, lambda count: f"and {count} more")
        made.append(sender)
        return sender

    yield new
    for sender in made:
        await sender.close(DEADLINE)


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something on this loop."""
    deadline = asyncio.get_running_loop().time() + DEADLINE
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.005)


async def test_an_alert(make: Make, receiver: Web) -> None:
    """It says which bot on which machine, in text that is not taken for any markup."""
    make(receiver.url).send("a", "名 <b>is</b> *offline*")
    await until(lambda: receiver.taken)
    (alert,) = receiver.taken
    assert alert["message"] == "名 <b>is</b> *offline*"
    assert alert["title"].startswith("LiteyukiBot ")
    assert " @ " in alert["title"]


async def test_mail(make: Make) -> None:
    """By SMTP."""
    with mail_server() as mails:
        make(mails.url).send("a", "it is offline")
        await until(lambda: mails.taken)
        (mail,) = mails.taken
        assert "LiteyukiBot" in str(mail["Subject"])
        assert mail["To"] == "me@example.com"
        parts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
        assert any(b"it is offline" in part for part in parts if isinstance(part, bytes))


async def test_all_services_get_it(make: Make, receiver: Web) -> None:
    """One that does not answer holds up no other."""
    with web() as other:
        other.holds.clear()
        make(other.url, receiver.url).send("a", "text")
        await until(lambda: receiver.taken and other.asked)
        other.holds.set()
        await until(lambda: other.taken)


async def test_the_loop_goes_on(make: Make, receiver: Web) -> None:
    """While a service does not answer. The next alerts wait for it, in order, in one thread."""
    receiver.holds.clear()
    sender = make(receiver.url)
    for text in ("1", "2", "3"):
        sender.send(text, text)
    await until(lambda: receiver.asked == 1)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert receiver.asked == 1
    names = [thread.name for thread in threading.enumerate()]
    assert len([name for name in names if name.startswith("liteyuki-worker")]) == 1, names
    assert not [name for name in names if name.startswith("ThreadPool")], "apprise has its own"
    receiver.holds.set()
    await until(lambda: receiver.texts == ["1", "2", "3"])


async def test_the_same_is_not_sent_twice(
    make: Make, receiver: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """About one subject in a row, within an hour."""
    sender = make(receiver.url, per_hour=100)
    for subject, text in (("a", "1"), ("a", "1"), ("b", "1"), ("a", "2"), ("a", "1"), ("b", "1")):
        sender.send(subject, text)
    await until(lambda: receiver.texts == ["1", "1", "2", "1"])
    monkeypatch.setattr(recent, "_HOUR", 0.0)
    sender.send("b", "1")
    await until(lambda: len(receiver.texts) == 5)
    assert len(sender._recent._last) == 1


async def test_what_is_forgotten_may_be_sent_again(make: Make, receiver: Web) -> None:
    """The subject is not as it was any more."""
    sender = make(receiver.url)
    sender.send("a", "1")
    sender.forget("a")
    sender.forget("never sent")
    sender.send("a", "1")
    await until(lambda: receiver.texts == ["1", "1"])


async def test_so_many_an_hour(
    make: Make, receiver: Web, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    """Then one line says how many more there were, when the hour is over."""
    monkeypatch.setattr(module, "_HOUR", 0.5)
    sender = make(receiver.url)
    for number in range(PER_HOUR + 4):
        sender.send(str(number), str(number))
    await until(lambda: len(receiver.taken) == PER_HOUR + 1)
    assert receiver.texts == ["0", "1", "2", "and 4 more"]
    assert sum("others are left out" in line for line in logged) == 1
    sender.send("later", "later")
    await until(lambda: receiver.texts[-1] == "later")


async def test_what_was_left_out_may_be_sent_later(
    make: Make, receiver: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not the same as one that was sent."""
    monkeypatch.setattr(module, "_HOUR", 0.5)
    sender = make(receiver.url, per_hour=1)
    sender.send("a", "1")
    sender.send("b", "2")
    await until(lambda: receiver.texts == ["1", "and 1 more"])
    await asyncio.sleep(0.5)
    sender.send("b", "2")
    await until(lambda: receiver.texts == ["1", "and 1 more", "2"])


async def test_a_service_that_refuses_is_tried_again(
    make: Make, receiver: Web, monkeypatch: pytest.MonkeyPatch, logged: list[str]
) -> None:
    """It alone."""
    monkeypatch.setattr(module, "_RETRIES", (0.01,) * 1000)
    with web() as other:
        receiver.status = 503
        make(receiver.url, other.url).send("a", "text")
        await until(lambda: receiver.asked >= 2)
        receiver.status = 200
        await until(lambda: receiver.taken)
        assert len(other.taken) == 1
    assert all("could not be sent to alert URL 1 (json://***): " in line for line in logged)
    assert logged


async def test_a_service_that_is_not_there_is_given_up(
    make: Make, receiver: Web, monkeypatch: pytest.MonkeyPatch, logged: list[str], capfd: Any
) -> None:
    """An error says which alert, and no line has a secret. apprise itself writes nothing."""
    monkeypatch.setattr(module, "_RETRIES", (0.01,))
    receiver.server.server_close()
    sender = make(receiver.url)
    sender.send("a", "text")
    await until(lambda: any(line.startswith("ERROR") for line in logged))
    assert len(logged) == 3, logged
    assert logged[-1] == (
        "ERROR an alert is given up that alert URL 1 (json://***) has not taken: text\n"
    )
    assert "onnection" in logged[0]
    assert PASSWORD not in "".join(logged)
    out, err = capfd.readouterr()
    assert PASSWORD not in out + err
    assert "apprise" not in err


def test_what_apprise_says_is_shown_without_parts_of_the_url() -> None:
    """Whatever the part is: a token in a path, a password, a key in a query; escaped or not."""
    url = "json://me:p%40ssword@host.example:80/to-ken/?+key=very%20secret"
    (service,) = module._services([url])
    said = ["host.example refuses p@ssword", "to-ken", "very secret, very%20secret\n and more"]
    shown = module._reason(service, said)
    assert shown == "*** refuses p@***; ***; ***, *** and more" or "ssword" not in shown
    for secret in ("ssword", "to-ken", "very", "host.example"):
        assert secret not in shown
    assert shown.endswith("and more")
    assert module._reason(service, []) == "apprise does not say why"


@pytest.mark.parametrize(
    ("url", "title"),
    [
        (f"nosuch://{PASSWORD}", "alert URL 2 (nosuch://***)"),
        (f"mailto://{PASSWORD}", "alert URL 2 (mailto://***)"),
        (f"{PASSWORD}", "alert URL 2 (***://***)"),
        (f"tgram://{PASSWORD}", "alert URL 2 (tgram://***)"),
    ],
)
def test_a_url_that_apprise_can_not_use(
    url: str, title: str, capfd: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says which, without its secrets; nothing else says anything."""
    with pytest.raises(ConfigError) as found:
        module._services(["json://localhost", url])
    assert title in str(found.value)
    out, err = capfd.readouterr()
    assert PASSWORD not in str(found.value) + out + err + caplog.text
    logging.getLogger("apprise").warning("somebody else's")
    assert "somebody else's" in caplog.text


def test_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra."""
    monkeypatch.setitem(sys.modules, "apprise", None)
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"nonebot-plugin-liteyuki-comm\[alert\]"):
        module._services(["json://localhost"])


async def test_at_the_end_all_is_sent(make: Make, receiver: Web) -> None:
    """Also what was left out, in one line, and what a service has refused, once more."""
    sender = make(receiver.url, per_hour=1)
    sender.send("a", "1")
    sender.send("b", "2")
    sender.send("c", "3")
    await sender.close(DEADLINE)
    assert receiver.texts == ["1", "and 2 more"]


async def test_the_end_waits_for_nobody_for_long(
    make: Make, receiver: Web, logged: list[str]
) -> None:
    """A service that does not answer is left, with an error."""
    receiver.holds.clear()
    sender = make(receiver.url)
    sender.send("a", "1")
    sender.send("b", "2")
    await until(lambda: receiver.asked)
    await sender.close(0.05)
    assert logged == ["ERROR 2 alerts could not be sent before the bot had to end\n"]
    receiver.holds.set()
    await until(lambda: receiver.taken)


async def test_the_end_does_not_wait_to_try_again(
    make: Make, receiver: Web, logged: list[str]
) -> None:
    """A service that has refused an alert does not get it; the log has it."""
    receiver.status = 500
    sender = make(receiver.url)
    sender.send("a", "text")
    await until(lambda: logged)
    await sender.close(DEADLINE)
    assert "an alert is given up" in logged[-1]
    assert receiver.asked == 1

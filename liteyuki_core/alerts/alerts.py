"""What an operator must know: it is put in words here, and `Sender` sends it.

Ownership. LiteyukiBot makes one `Alerts` where LITEYUKI_ALERT_URLS is set, or where this bot is a
node of a cluster, and closes it. It owns what sends its alerts, its `Outages` and its `Absences`.

Threads. LiteyukiBot's loop calls everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..accounts import Account, Accounts, AccountState
from ..accounts.outage import Outages
from ..comm.hub.letters import DeadLetter
from ..process.state import ChildProcess, ProcessState
from ..redaction import redacted
from ..units import in_bytes
from .absence import Absences, Nodes
from .sender import Run, Sender
from .text import Lang, in_words, text

_LONGEST = 500
"""Most characters of a text that a child may have written."""


class Sends(Protocol):
    """Sends alerts: a `Sender` to services, a `Passing` to another node."""

    def send(self, subject: str, text: str) -> None:
        """Send an alert soon, unless it is what was sent about this subject in the last hour."""

    def forget(self, subject: str) -> None:
        """Forget what was sent about a subject: it is not as it was."""

    async def close(self, timeout: float) -> None:
        """Send what is being sent, for at most `timeout` seconds."""


def to_services(urls: tuple[str, ...], per_hour: int, lang: Lang, run: Run) -> Sender:
    """Return what sends alerts to the services of `urls`. Raises `ConfigError` as that does."""
    return Sender(urls, per_hour, run, lambda n: text(lang, "more", count=n, limit=per_hour))


class Alerts:
    """Sends alerts about accounts, processes, their memory, dead letters, and nodes."""

    def __init__(
        self,
        sender: Sends,
        after: float,
        lang: Lang,
        child: Callable[[str], ChildProcess],
        newest: Callable[[Account], Account],
    ) -> None:
        self._after = after
        self._lang = lang
        self._child = child
        self._newest = newest
        self._sender = sender
        self._outages = Outages(after, child, self._lasts, self._ends)
        self._absences: Absences | None = None

    def watch(self, nodes: Nodes) -> None:
        """Alert about nodes of the cluster too, from now on."""
        self._absences = Absences(self._after, nodes, self._is_gone, self._is_back)

    def node(self, name: str, *, is_gone: bool) -> None:
        """Learn that a node has vanished; or that it runs, or has stopped in good order."""
        if self._absences is not None:
            self._absences.node(name, is_gone=is_gone)

    def of_other(self, node: str, subject: str, words: str) -> None:
        """Send an alert for a node that has nowhere to send it."""
        subject = f"node {node}: {subject}"
        self._sender.forget(subject)  # That node sees to it that nothing comes twice.
        words = "".join(c if c.isprintable() else " " for c in words)
        self._sender.send(subject, redacted(text(self._lang, "of node", node=node, text=words)))

    def account(self, account: Account) -> None:
        """Learn that an account has a new state."""
        self._outages.account(account)

    def process_state(self, process: str, state: ProcessState, accounts: Accounts) -> None:
        """Learn that a child has a new state, after `accounts` has."""
        self._outages.process_state(process, accounts)
        if state is ProcessState.RUNNING:
            self._sender.forget(f"process {process}")
        elif state is ProcessState.FAILED:
            ending = self._child(process).ending
            outcome = ending.said_in(self._lang) if ending else text(self._lang, "unknown")
            self._send(f"process {process}", "failed", process=process, outcome=_short(outcome))

    def memory(self, process: str, limit: int) -> None:
        """Learn that a child is restarted because it has more memory than `limit` bytes."""
        self._send(f"memory of {process}", "memory", process=process, limit=in_bytes(limit))

    def letter(self, letter: DeadLetter) -> None:
        """Learn that a message was set aside."""
        channel, process = _short(letter.channel), _short(letter.process)
        self._send(
            f"channel {channel}",
            "letter",
            channel=channel,
            process=process,
            crashes=letter.crashes,
        )

    async def close(self, timeout: float) -> None:
        """Send what is still to be sent, for at most `timeout` seconds."""
        self._outages.close()
        if self._absences is not None:
            self._absences.close()
        await self._sender.close(timeout)

    def _lasts(self, account: Account) -> None:
        is_offline = account.state is AccountState.OFFLINE
        self._about(account, "offline" if is_offline else "disconnected", self._after)

    def _ends(self, account: Account, seconds: float) -> None:
        self._about(account, "back", seconds)

    def _is_gone(self, node: str, seconds: float) -> None:
        key = "gone" if node else "no server"
        self._send(f"node {node}", key, node=node, time=in_words(self._lang, seconds))

    def _is_back(self, node: str, seconds: float) -> None:
        key = "node back" if node else "server back"
        self._send(f"node {node}", key, node=node, time=in_words(self._lang, seconds))

    def _about(self, account: Account, key: str, seconds: float) -> None:
        lang = self._lang
        account = self._newest(account)
        name = f"{account.nickname} ({account.id})" if account.nickname else account.id
        process = account.process
        called = text(lang, "account", name=name, adapter=account.adapter, process=process)
        subject = f"account {account.id} of {account.adapter} in {process}"  # Without its nickname.
        self._send(subject, key, account=called, time=in_words(lang, seconds))

    def _send(self, subject: str, key: str, **fields: object) -> None:
        words = text(self._lang, key, **fields)
        self._sender.send(subject, redacted(words[:1].upper() + words[1:]))


def _short(outcome: str) -> str:
    """Return a text in one line, without what could do something to a terminal."""
    return "".join(c if c.isprintable() else " " for c in outcome[:_LONGEST])

"""What may happen between nodes: words that are lost, and words of strangers."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from nats import connect

from tests.nats import NatsServer
from tests.nodes import OneNode
from tests.pair import run_async


def lose_words(
    nodes: Iterable[OneNode], monkeypatch: pytest.MonkeyPatch, share: float, seed: int
) -> None:
    """Have this share of what nodes tell each other of requests be lost, until all is undone."""
    random = Random(seed)
    for node in nodes:
        tell = node.node.connection.tell

        async def may_be_lost(subject: str, body: bytes, reply: str = "", tell: Any = tell) -> None:
            if (".q." in subject or ".answers." in subject) and random.random() < share:
                return
            await tell(subject, body, reply)

        monkeypatch.setattr(node.node.connection, "tell", may_be_lost)


def lose_words_on_channels(node: OneNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have all be lost that a node tells other nodes of channels, except what is on the stream."""
    tell, subject_of = node.node.connection.tell, node.node.subjects.words

    async def may_be_lost(subject: str, body: bytes, reply: str = "") -> None:
        if not subject.startswith(subject_of("")):
            await tell(subject, body, reply)

    monkeypatch.setattr(node.node.connection, "tell", may_be_lost)


def attack(nats: NatsServer, node: OneNode, words: Iterable[bytes]) -> None:
    """Tell a node these words, wherever it hears of requests."""

    async def tell() -> None:
        client = await connect(nats.url)
        for word in words:
            await client.publish(node.node.subjects.requests(node.name), word)
            for of in ("a", "b", "x"):
                subject = node.node.subjects.answers(node.name, node.node.epoch, of)
                await client.publish(subject, word)
        await client.flush()
        await client.close()

    run_async(tell())

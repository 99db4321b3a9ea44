"""The names of all that a cluster has on the NATS server: streams, subjects, consumers.

Pure. Names of channels and nodes are any text, and tokens of a subject are not. So a character that
a token can't have is written as "=" and its UTF-8 bytes in hex, and a long name as its hash.
"""

from __future__ import annotations

import re
from hashlib import sha256

_SAFE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
_LONGEST = 100

NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
"""What the names of clusters and nodes look like."""


def token(name: str) -> str:
    """Return a name as one token of a subject or a key. Different names give different tokens."""
    encoded = "".join(
        each
        if each in _SAFE
        else "".join(f"={byte:02X}" for byte in each.encode("utf-8", "surrogatepass"))
        for each in name
    )
    if len(encoded) <= _LONGEST:
        return encoded
    return "==" + sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


class Subjects:
    """What one cluster's things are called, as one node sees it."""

    def __init__(self, cluster: str, node: str) -> None:
        self.stream = f"LY_{cluster}"
        """The work queue with the messages of all channels."""
        self.messages = f"ly.{cluster}.c.>"
        self.book = f"KV_ly_{cluster}"
        """The bucket with the nodes, and with the channels and who has them."""
        self.entries = f"$KV.ly_{cluster}.>"
        self.store = f"KV_lystore_{cluster}"
        """The bucket with what the nodes share in their store."""
        self.stored = f"$KV.lystore_{cluster}.>"
        self.node = node
        self._channels = f"ly.{cluster}.c"
        self._words = f"ly.{cluster}.n"
        self._requests = f"ly.{cluster}.q"
        self._delivered = f"ly.{cluster}.d"
        self._asks = f"ly.{cluster}.a"
        self._entry = f"$KV.ly_{cluster}"
        self._stored = f"$KV.lystore_{cluster}"
        self._topics = f"ly.{cluster}.t"

    def to_home(self, name: str) -> str:
        """Where messages to the node go that has the channel."""
        return f"{self._channels}.{token(name)}.home"

    def to_node(self, name: str, node: str) -> str:
        """Where messages of that node to another one go."""
        return f"{self._channels}.{token(name)}.to.{node}"

    def words(self, node: str) -> str:
        """Where words to a node go."""
        return f"{self._words}.{node}"

    def requests(self, node: str) -> str:
        """Where requests to a node go, and what is to be said of them."""
        return f"{self._requests}.{node}"

    def answers(self, node: str, epoch: str, of: str) -> str:
        """Where answers of a node go to this life of another one; "*" is any node."""
        return f"{self._delivered}.{node}.{epoch}.answers.{of}"

    @property
    def all_words(self) -> str:
        """Where words to all nodes go."""
        return f"{self._words}._all"

    def asks(self, kind: str, node: str) -> str:
        """Where a node is asked something of a kind."""
        return f"{self._asks}.{kind}.{node}"

    def of_node(self, node: str) -> str:
        """The entry of a node."""
        return f"{self._entry}.node.{node}"

    def about(self, node: str) -> str:
        """The entry with what a node tells of itself."""
        return f"{self._entry}.about.{node}"

    def of_channel(self, name: str) -> str:
        """The entry of a channel."""
        return f"{self._entry}.channel.{token(name)}"

    def of_key(self, key: str) -> str:
        """The entry of a key of the store."""
        return f"{self._stored}.key.{token(key)}"

    def of_lock(self, key: str) -> str:
        """The entry of a lock of the store."""
        return f"{self._stored}.lock.{token(key)}"

    def is_of_lock(self, subject: str) -> bool:
        """Return whether this is the entry of a lock of the store."""
        return subject.startswith(f"{self._stored}.lock.")

    def of_topic(self, topic: str) -> str:
        """Where what is published on a topic of the store goes."""
        return f"{self._topics}.{token(topic)}"

    @property
    def all_topics(self) -> str:
        """Where all of that goes."""
        return f"{self._topics}.>"

    def of_doubt(self, change: str) -> str:
        """Where a node asks whether one of its changes of the store was made."""
        return f"{self._stored}.doubt.{token(change)}"

    def is_of_key(self, subject: str) -> bool:
        """Return whether this is the entry of a key of the store."""
        return subject.startswith(f"{self._stored}.key.")

    def kind_of(self, entry: str) -> str:
        """Return "node", "about" or "channel" for the subject of an entry."""
        return entry.removeprefix(self._entry + ".").partition(".")[0]

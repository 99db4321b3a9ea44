"""The `Queue`: a channel with one side, which any number of processes hold.

A handle is a channel's handle in everything but where what it sends goes: to whoever receives from
the queue. Any thread may call it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from ..errors import ChannelError, NotConnected
from .channel import Channel, check_name
from .current import current
from .ends.end import End

T = TypeVar("T")


class Queue(Channel[T]):
    """A work queue: what any process sends to it goes to exactly one that receives from it.

    Any process makes it or gets it by name, and every handle sends and receives, with all methods
    of a `Channel`. A message goes to a receiver that asks for one at that moment, or whose
    callbacks have room, in the order of each sender. If the receiver's process dies before it has
    handled the message, another one gets it.

    Making a queue that is there already gets that one. `capacity` is how many messages this process
    may have sent that are not yet acknowledged. The queue and its messages outlive the processes
    that use it, until it is closed: `close()`, by any process, closes it for all. They receive what
    was sent before, and then get `ChannelClosed`.

    Raises what `Channel` raises; the first use raises `ChannelExists` if a channel has the name.
    """

    def __init__(self, name: str, *, capacity: int = 1024, type_check: bool | None = None) -> None:
        super().__init__(check_name(name), capacity=capacity, type_check=type_check)

    def _open(self) -> End:
        end = self._end
        if end is None:
            end = self._take(current().queue(str(self._name), self._capacity))
        return end

    def _find(self) -> End | None:
        try:
            return self._open()
        except (ChannelError, NotConnected):
            return None


Queue._shared_class = Queue


def get_queue(name: str) -> Queue[Any]:
    """Return this process's handle on the queue `name`. Never waits, and asks no other process.

    Raises `ChannelNotFound` if no process has made it, `ChannelExists` if a channel has the name,
    and `NotConnected` outside a LiteyukiBot and its children.
    """
    return Queue._of(current().queue(check_name(name), None))  # type: ignore[return-value]

"""What a process sends before its turn: a successor that loads while its predecessor still runs.

It may ask the store. All else that it sends is kept here, in order, until its turn has come: so it
holds no channel before that. What it would wait for is told at once, as it can't load any further.

Ownership. A `LinkPeer` owns its `Early`. The thread or loop that reads the link calls `sift`, any
other thread `allow`; both under the hub's lock.
"""

from __future__ import annotations

from collections.abc import Callable

from ...errors import FrameError
from ..wire import frames, words
from ..wire.batch import unpack

_MOST_BYTES = 64 << 20
"""Most bytes that a process may send before its turn."""


class Early:
    """The frames of a process before its turn. `on_word` gets what it says about itself."""

    def __init__(self, on_word: Callable[[words.OfProcess], None]) -> None:
        self._on_word = on_word
        self._kept: list[frames.Frame] = []
        self._bytes = 0
        self._may_begin = False

    def allow(self) -> None:
        """Note that main has told the process that its turn has come."""
        self._may_begin = True

    def sift(self, arrived: list[frames.Frame]) -> tuple[list[frames.Frame], bool]:
        """Return the frames to handle now, and whether the process's turn begins with them.

        Raises `FrameError` for what no process may send before its turn.
        """
        now: list[frames.Frame] = []
        for place, frame in enumerate(arrived):
            word = words.from_child(frame) if frame.kind == frames.CONTROL else None
            if isinstance(word, words.TakesTurn):
                if not self._may_begin:
                    raise FrameError("it takes its turn before that has come")
                return [*now, *self._kept, *arrived[place + 1 :]], True
            if isinstance(word, words.WaitsForTurn | words.Failed | words.Loaded):
                self._on_word(word)
            elif frame.kind == frames.STORE or isinstance(word, words.Clean):
                now.append(frame)
            else:
                self._keep(frame)
                if _is_waited_for(frame, word):
                    self._on_word(words.WaitsForTurn([]))
        return now, False

    def _keep(self, frame: frames.Frame) -> None:
        self._bytes += len(frame.body) + sum(len(part) for part in frame.segments)
        if self._bytes > _MOST_BYTES:
            raise FrameError(f"it has sent over {_MOST_BYTES >> 20} MB before its turn")
        self._kept.append(frame)


def _is_waited_for(frame: frames.Frame, word: words.FromChild | None) -> bool:
    """Return whether a process that has sent this can't go on until it is handled."""
    if isinstance(word, words.Receives):
        return word.asks
    if frame.kind == frames.DATA:
        headers = unpack(frame).headers
        return headers is not None and headers.request is not None
    return isinstance(word, words.Register | words.Listen)

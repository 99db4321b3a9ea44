"""What a process sends before its turn is kept, and what it asks the store is not."""

from __future__ import annotations

from typing import Any

import pytest

from liteyuki_core.comm.hub import early
from liteyuki_core.comm.hub.early import Early
from liteyuki_core.comm.wire import frames, words
from liteyuki_core.errors import FrameError


def frame(word: Any, number: int = 0) -> frames.Frame:
    """Return the frame of a word."""
    _, body = words.encode(word, number)
    return frames.Frame(frames.CONTROL, 0, number, bytes(body))


OPEN = frame(words.Open("k", 10), 1)
QUESTION = frames.Frame(frames.STORE, 0, frames.STORE_STREAM, b"{}")
CLEAN = frame(words.Clean())
TAKES_TURN = frame(words.TakesTurn())


def test_all_but_questions_wait_for_the_turn() -> None:
    """Then what was kept comes first, in order, and before what follows."""
    told: list[words.OfProcess] = []
    kept = Early(told.append)
    ready = frame(words.Ready(True, []))
    assert kept.sift([OPEN, QUESTION]) == ([QUESTION], False)
    assert kept.sift([CLEAN, ready]) == ([CLEAN], False)
    assert kept.sift([frame(words.WaitsForTurn(["one"])), frame(words.Failed("why"))]) == (
        [],
        False,
    )
    assert told == [words.WaitsForTurn(["one"]), words.Failed("why")]
    kept.allow()
    assert kept.sift([QUESTION, TAKES_TURN, CLEAN]) == ([QUESTION, OPEN, ready, CLEAN], True)


@pytest.mark.parametrize(
    "waited",
    [
        frame(words.Register("name", 1), 1),
        frame(words.Listen("", 1, 1)),
        frame(words.Receives(1, True), 1),
    ],
    ids=["a name", "a port", "a message"],
)
def test_what_it_waits_for_is_told(waited: frames.Frame) -> None:
    """It can't load any further until that is handled."""
    told: list[words.OfProcess] = []
    kept = Early(told.append)
    assert kept.sift([frame(words.Receives(1, False), 1)]) == ([], False)
    assert not told
    assert kept.sift([waited]) == ([], False)
    assert told == [words.WaitsForTurn([])]


def test_a_turn_that_has_not_come() -> None:
    """Nobody takes it by himself."""
    with pytest.raises(FrameError, match="it takes its turn before that has come"):
        Early(lambda word: None).sift([OPEN, TAKES_TURN])


def test_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept has a bound."""
    monkeypatch.setattr(early, "_MOST_BYTES", 2 * len(OPEN.body))
    kept = Early(lambda word: None)
    kept.sift([OPEN, OPEN])
    with pytest.raises(FrameError, match="it has sent over 0 MB before its turn"):
        kept.sift([OPEN])

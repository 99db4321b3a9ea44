"""How ends of child processes are told apart."""

from __future__ import annotations

import pytest

from liteyuki_core.process.ending import Ending, classify, describe


@pytest.mark.parametrize(
    ("code", "facts", "ending"),
    [
        (0, {"asked": True}, Ending.ASKED),
        (9, {"asked": True, "failure": "no port"}, Ending.ASKED),
        (-9, {"asked": True}, Ending.ASKED),
        (0, {}, Ending.CLEAN),
        (0, {"ready": True}, Ending.CLEAN),
        (1, {}, Ending.NOT_READY),
        (1, {"ready": True, "failure": "it can't be imported"}, Ending.NOT_READY),
        (3, {"ready": True}, Ending.NOT_READY),
        (3, {"ready": True, "called": True}, Ending.CRASH),
        (1, {"ready": True}, Ending.CRASH),
        (255, {"ready": True}, Ending.CRASH),
        (-11, {}, Ending.SIGNAL),
        (-9, {"ready": True}, Ending.SIGNAL),
        (143, {"ready": True}, Ending.SIGNAL),
    ],
)
def test_classes(code: int, facts: dict[str, object], ending: Ending) -> None:
    """What it was asked and what it said of itself counts before its exit code."""
    given: dict[str, object] = {"asked": False, "ready": False, "called": False, **facts}
    assert classify(code, **given) is ending  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "exited with code 0"),
        (3, "exited with code 3"),
        (-9, "was ended by signal 9 (SIGKILL)"),
        (143, "was ended by signal 15 (SIGTERM)"),
        (-99, "was ended by signal 99"),
        (255, "exited with code 255"),
    ],
)
def test_words(code: int, words: str) -> None:
    """A signal has its name, also where a shell has added 128 to it."""
    assert describe(code).english == words


def test_a_code_that_nobody_knows() -> None:
    """It is a crash, unless it was asked to stop or said itself that it leaves in order."""

    def classified(**told: object) -> Ending:
        known: dict[str, object] = {"asked": False, "ready": False, "called": False, **told}
        return classify(None, **known)  # type: ignore[arg-type]

    assert classified() is classified(ready=True) is Ending.CRASH
    assert classified(clean=True) is Ending.CLEAN
    assert classified(asked=True) is Ending.ASKED
    assert classified(failure="can't be imported") is Ending.NOT_READY
    assert describe(None).english.startswith("has ended; its exit code is not known")

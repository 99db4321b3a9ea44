"""Acts with words to the main process and with what a child writes and reports."""

from __future__ import annotations

import gc
import json
import os
import socket
import time
from functools import partial

from liteyuki_core.comm.wire import frames
from liteyuki_core.process.report import Report
from tests.children.hostile.forge import act, frame, link, out, word


@act("is not known")
def an_unknown_word() -> None:
    out(word(op="__class__"))


@act(None)
def ready_a_million_times() -> None:
    out(*[word(op="ready", called=False, lacks=[])] * 100_000)


@act("words about itself")
def ready_and_not() -> None:
    out(
        *[word(op="ready", called=True, lacks=[]), word(op="ready", called=False, lacks=[])]
        * 100_000
    )


@act("words about itself")
def restarts_without_end() -> None:
    out(*[word(op="restart", name="nobody")] * 100_000)


@act("is not known")
def a_turn_that_is_not_its() -> None:
    out(word(op="takes_turn"))


@act("is not known")
def it_waits_for_a_turn() -> None:
    out(word(op="waits_for_turn", lacks=[]))


@act("a control frame of")
def ten_megabytes_of_why() -> None:
    body = json.dumps({"op": "failed", "why": "x" * 10_000_000}).encode()
    out(frame(frames.CONTROL, frames.IN_PIECES, 0, frames.table([len(body)])))
    for at in range(0, len(body), 65536):
        out(frame(frames.PART, 0, 0, body[at : at + 65536]))


@act("is not known")
def an_odd_why() -> None:
    out(word(op="failed", why=[1]))


for number, at in enumerate((float("nan"), float("inf"), True, 10**300, "1", None)):
    act("is not known", name=f"pulse_{number}")(
        partial(out, word(op="pulse", at=at, lag=0.0, waits=None, stack=""))
    )


@act("words about itself")
def pulses_without_end() -> None:
    out(*[word(op="pulse", at=1.0, lag=0.0, waits=None, stack="x" * 50)] * 100_000)


@act("is not known")
def an_odd_answer() -> None:
    out(word(op="loaded", request=1, loaded=[1], near=None))


@act(None)
def an_answer_nobody_asked_for() -> None:
    out(word(op="loaded", request=1, loaded=["/etc/passwd"], near=[]))


for number, odd in enumerate(
    (
        None,
        [1],
        [["a", "b", "online"]],
        [["a", "b", "running", ""]],
        [["a", 5, "online", ""]],
        [["a", "x" * 201, "online", ""]],
        [["a", "b", "online", "\x1b[2J"]],
        [["a", "b", "online", ""]] * 51,
    )
):
    act("is not known", name=f"accounts_{number}")(partial(out, word(op="accounts", accounts=odd)))


@act(None)
def accounts_without_number() -> None:
    for first in range(0, 40_000, 50):
        told = [["a", f"{first + n}", "offline", "x" * 200] for n in range(50)]
        out(word(op="accounts", accounts=told))


@act("words about itself")
def accounts_without_end() -> None:
    states = [word(op="accounts", accounts=[["a", "b", s, ""]]) for s in ("online", "offline")]
    out(*states * 10_000)


@act(None)
def listens_to_nonsense() -> None:
    for host in ("\0", "x" * 100_000, "\udc80", "256.256.256.256"):
        for port in (-1, 10**30, 70_000):
            out(word(op="listen", host=host, port=port, backlog=-(10**30)))


@act(None)
def a_line_without_end() -> None:
    for _ in range(200):
        os.write(1, b"x" * 65536)
    os.write(1, b"\n")


@act(None)
def no_text_at_all() -> None:
    for _ in range(50):
        os.write(1, os.urandom(65536).replace(b"\n", b""))
    os.write(1, b"\n\x1e{" + b"[" * 100_000 + b"\n")


@act("")
def closes_its_link_and_lives() -> None:
    link()._connection.shutdown(socket.SHUT_RDWR)
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            pass


@act(None)
def reports_nonsense() -> None:
    report = next(o for o in gc.get_objects() if type(o) is Report)
    for number in (float("nan"), float("inf"), -float("inf"), 1e308):
        for i in range(3):
            report._numbers[i] = number
        time.sleep(0.1)

"""What tests run as programs: `python -m tests.children executables:NAME ...`.

They know nothing of LiteyukiBot, as other programs do not.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time


def say(*words: object) -> None:
    """Write a line in one piece."""
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def _sleep() -> None:
    while True:
        time.sleep(1000)


def _ignore_terminate() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def waits() -> None:
    """Say what it was given, then do nothing."""
    say("waits", *sys.argv[1:])
    _sleep()


def says_later() -> None:
    """Say the words after some seconds, then do nothing."""
    time.sleep(float(sys.argv[1]))
    say(*sys.argv[2:])
    _sleep()


def says_when() -> None:
    """Say the words as soon as there is a file of that name."""
    while not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    say(*sys.argv[2:])
    _sleep()


def exits() -> None:
    """End with an exit code."""
    say("ends now")
    sys.exit(int(sys.argv[1]))


def stubborn() -> None:
    """End at no signal that asks."""
    _ignore_terminate()
    say("stubborn")
    _sleep()


def obeys() -> None:
    """End when a line or the end comes on standard input, or a signal asks."""

    def on_signal(number: int, _: object) -> None:
        say("got signal", signal.Signals(number).name)
        os._exit(0)

    signal.signal(signal.SIGINT, on_signal)
    signal.signal(signal.SIGTERM, on_signal)
    if sys.argv[1:] == ["signal"]:
        say("obeys, and reads", repr(sys.stdin.read()))
        _sleep()
    say("obeys")
    line = sys.stdin.readline()
    say("read", repr(line))


def counts() -> None:
    """End in order some time after it is asked, and at once when it is asked again."""
    asked = 0

    def on_signal(*_: object) -> None:
        nonlocal asked
        asked += 1

    signal.signal(signal.SIGTERM, on_signal)
    say("counts")
    while not asked:
        time.sleep(0.01)
    deadline = time.monotonic() + 1
    while asked == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    sys.exit(0 if asked == 1 else 9)


def family() -> None:
    """Start a child that starts one, and one that leaves the group; none ends when asked."""
    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); {}; "
        "os.write(1, b'member %d\\n' % os.getpid()); time.sleep(1000)"
    )
    inner = code.format("pass")
    outer = code.format(
        f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}])"
    )
    subprocess.Popen([sys.executable, "-c", outer])
    # Its parent ends at once, so it has none any more.
    away = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {inner!r}])"
    subprocess.run([sys.executable, "-c", away], start_new_session="detached" in sys.argv)
    _ignore_terminate()
    say("member", os.getpid())
    if "ends" in sys.argv:
        time.sleep(0.5)
        sys.exit(7)
    _sleep()


def floods() -> None:
    """Write as many megabytes as are asked for, in lines of 100 bytes, then say so."""
    lines = b"".join(b"%099d\n" % number for number in range(10_000))
    for _ in range(int(sys.argv[1])):
        sys.stdout.buffer.write(lines)
    sys.stdout.flush()
    say("flooded")
    _sleep()


def half_a_line() -> None:
    """Write a line that never ends."""
    while True:
        os.write(1, b"half ")
        time.sleep(0.05)


def draws() -> None:
    """Write a picture, a line and a secret, a row at a time."""
    for row in ("█▀▀▀▀▀█ ▄ █▀▀▀▀▀█", "█ ███ █ ▀ █ ███ █", "▀▀▀▀▀▀▀ ▀ ▀▀▀▀▀▀▀"):
        say(row)
    time.sleep(0.2)
    say("access_token=s3cret")
    _sleep()


def speaks() -> None:
    """Write text in another encoding, and bytes that are none."""
    os.write(1, "扫码\n".encode("gbk") + b"\xff\n")
    _sleep()


def tells() -> None:
    """Say in which folder it is, and what is in its environment."""
    say("in", os.path.basename(os.getcwd()))
    for name in sys.argv[1:]:
        say(name, os.environ.get(name))
    _sleep()


def eats() -> None:
    """Have a child that takes so many megabytes of memory."""
    code = f"x = bytearray(b'x') * ({sys.argv[1]} << 20); print('full', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE):
        _sleep()


def asks_the_terminal() -> None:
    """Ask on its terminal, and end with what is answered."""
    say("terminal", os.isatty(0), os.isatty(1))
    sys.exit(int(input("which code? ")))

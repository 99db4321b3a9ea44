"""Targets that many programs have as children."""

from __future__ import annotations

import os
import signal
import threading
import time

from liteyuki_core.comm import active_channel


def echo() -> None:
    """Send back what comes."""
    for data in active_channel:
        active_channel.send(data)


def receives() -> None:
    """Wait for one message."""
    active_channel.receive()


def waits() -> None:
    """Say that it is ready, and wait for ever."""
    print("ready", os.getpid(), flush=True)
    threading.Event().wait()


def stubborn() -> None:
    """Say that it is ready, and go on whatever it is asked to."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    print("ready", os.getpid(), flush=True)
    while True:
        time.sleep(1)

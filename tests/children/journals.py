"""Processes that use a journal, the store's file, and no bot; its path is the first argument."""

from __future__ import annotations

import os
import random
import sys
import threading
import time
import zlib
from queue import SimpleQueue

from liteyuki_core.comm.store.journal import Journal, Record
from liteyuki_core.errors import StoreError


def leaves() -> None:
    """Write the keys that are the other arguments, one a batch; end without closing the file."""
    written: SimpleQueue[tuple[int, StoreError | None]] = SimpleQueue()
    journal = Journal(sys.argv[1], lambda *told: written.put(told), list)
    journal.open()
    for key in sys.argv[2:]:
        journal.write(key, Record(key, "p", b"value", None))
        assert written.get(timeout=10)[1] is None
    os._exit(7)


def uses() -> None:
    """Write something and go on to use the file."""
    journal = Journal(sys.argv[1], print, list)
    journal.open()
    journal.write("a", Record("a", "p", b"1", None))
    threading.Event().wait()


def takes_over() -> None:
    """Write something, and again once there is a file `go`."""
    journal = Journal(sys.argv[1], print, list)
    journal.open()
    journal.write("other's", Record("other's", "p", b"1", None))
    while not os.path.exists("go"):
        time.sleep(0.01)
    journal.write("other's", Record("other's", "p", b"2", None))
    threading.Event().wait()


def change(run: int, number: int) -> tuple[str, bytes | None]:
    """Return the key and the value that the change of this number sets in this run."""
    chance = random.Random(f"{run} {number}")
    data = chance.randbytes(chance.choice((10, 100, 5000, 40000)))
    whole = b"%d %d %d " % (run, number, zlib.crc32(data)) + data
    return f"key {chance.randrange(40)}", whole if chance.random() < 0.9 else None


def changes() -> None:
    """Make one change after another of the run that is the second argument, until it is killed."""
    confirmed = 0

    def on_written(ticket: int, error: StoreError | None) -> None:
        nonlocal confirmed
        assert error is None
        confirmed = ticket
        os.write(1, b"%d confirmed\n" % ticket)

    journal = Journal(sys.argv[1], on_written, list)
    journal.open()
    number = 0
    while True:
        number += 1
        key, data = change(int(sys.argv[2]), number)
        journal.write(key, None if data is None else Record(key, "p", data, None))
        while number - confirmed > 200:
            time.sleep(0.001)

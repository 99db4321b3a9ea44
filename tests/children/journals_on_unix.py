"""Processes that use a journal as only Unix lets them: without permission, on a full disk, forked.

Where they take a path it is the first argument.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import tempfile
from queue import SimpleQueue

from liteyuki_core.comm.store.journal import Journal, Record
from liteyuki_core.errors import StoreError

assert sys.platform != "win32", "files and processes as Unix has them"

Written = SimpleQueue[tuple[int, StoreError | None]]

# ------------------------------------------------------------- no permission


def attempt(path: str) -> None:
    try:
        Journal(path, print, list).open()
    except StoreError as error:
        print("error:", error)


def no_permission() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("a", "b"):
            os.mkdir(f"{folder}/{name}")
            journal = Journal(f"{folder}/{name}/store.db", print, list)
            journal.open()
            journal.close(10)
        os.chmod(f"{folder}/a/store.db", 0o444)
        os.chmod(f"{folder}/a", 0o777)
        os.chmod(f"{folder}/b/store.db", 0o666)
        os.chmod(f"{folder}/b", 0o555)
        os.chmod(folder, 0o755)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # To the superuser everything is permitted.
        attempt(f"{folder}/a/store.db")
        attempt(f"{folder}/b/store.db")
        attempt(f"{folder}/b/store2.db")
        attempt(f"{folder}/b/c/store.db")
        os.seteuid(user)
        os.chmod(f"{folder}/b", 0o755)
        print(sorted(os.listdir(f"{folder}/a") + os.listdir(f"{folder}/b")))


# ------------------------------------------------------------- a full disk


def full_disk() -> None:
    _, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    written: Written = SimpleQueue()
    journal = Journal(sys.argv[1], lambda *told: written.put(told), list)

    def room(size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, unlimited))

    def set(key: str, size: int) -> int:
        return journal.write(key, Record(key, "p", key.encode() * size, None))

    def told(ticket: int) -> str:
        while True:
            last, error = written.get(timeout=20)
            if last >= ticket:
                return "failed" if error else "written"

    journal.open()
    print("at first", told(set("a", 1)))
    room(100_000)
    print("big", told(set("b", 1_000_000)))
    print("another", told(set("c", 1_000)))
    print("again", told(set("c", 2_000)))
    room(unlimited)
    print("by itself", told(4))
    room(100_000)
    print("full again", told(set("d", 5_000_000)))
    room(unlimited)
    print("at once", told(set("e", 1)))
    room(100_000)
    print("full at the end", told(set("f", 10_000_000)))
    print("closed", journal.close(0.1))
    written = SimpleQueue()  # What was told of the first is not of interest any more.
    journal = Journal(sys.argv[1], lambda *told: written.put(told), list)
    print("held", [(record.key, len(record.data)) for record in journal.open()])
    set("g", 10_000_000)
    print("still full", told(set("h", 1)))
    print("closed", journal.close(0.1))


# ------------------------------------------------------------- a copy made by fork


def forked() -> None:
    written: Written = SimpleQueue()
    journal = Journal(sys.argv[1], lambda *told: written.put(told), list)
    journal.open()
    journal.write("a", Record("a", "p", b"value", None))
    assert written.get(timeout=10) == (1, None)
    before = os.stat(sys.argv[1]), os.stat(sys.argv[1] + "-wal")
    copy = os.fork()
    if not copy:
        journal.abandon()
        try:
            journal.write("b", Record("b", "p", b"value", None))
        except StoreError as error:
            print("refused", error, flush=True)
        print("closed", journal.close(0), flush=True)
        del journal
        gc.collect()
        sys.exit(5)
    assert os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1]) == 5
    assert (os.stat(sys.argv[1]), os.stat(sys.argv[1] + "-wal")) == before
    journal.write("c", Record("c", "p", b"value", None))
    assert written.get(timeout=10) == (2, None)
    print("all written", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

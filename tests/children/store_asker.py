"""A child that asks the store, also while its main process is stopped."""

from __future__ import annotations

import time
from pathlib import Path

from liteyuki_core import LiteyukiBot, StoreTimeout, shared_memory


def ask() -> None:
    shared_memory["known"] = 1
    print("ready", flush=True)
    while True:
        try:
            shared_memory.incr("other", timeout=0.3)
        except StoreTimeout as error:
            # What it prints is passed on by the main process, which is stopped.
            Path("said").write_text(f"{error}; known: {shared_memory['known']}")
            Path("said").rename("stuck")
            break
    while True:
        try:
            shared_memory.incr("other", timeout=0.3)
            break
        except StoreTimeout:
            pass
    print("goes on", flush=True)
    time.sleep(60)


def main() -> None:
    bot = LiteyukiBot()
    bot.add_process("asker", ask)
    bot.run()

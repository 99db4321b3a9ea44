"""The store in real processes: wherever it is used from, whatever is killed."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import a_little, wait_until
from tests.program import ACTING, living, python, running, went_well, write_files

# ------------------------------------------------------------- a main process that is stuck

STUCK = {
    "bot.py": """
        from liteyuki_core import LiteyukiBot

        if __name__ == "__main__":
            bot = LiteyukiBot()
            bot.add_process("asker", "asker:run")
            bot.run()
    """,
    "asker.py": """
        import time
        from pathlib import Path

        from liteyuki_core import StoreTimeout, shared_memory

        def run():
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
    """,
}


@pytest.mark.skipif(sys.platform == "win32", reason="nothing there stops a process like this")
def test_a_main_process_that_is_stopped(tmp_path: Path, environment: dict[str, str]) -> None:
    """A child is told in time; what it has a copy of it reads; later it goes on."""
    write_files(tmp_path, STUCK)
    with running(tmp_path, environment) as program:
        program.wait_for_line("^ready")
        program.process.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: (tmp_path / "stuck").exists(), "the child is told")
            stuck = (tmp_path / "stuck").read_text()
            assert "'other'" in stuck
            assert "did not answer within 0." in stuck
            assert stuck.endswith("known: 1")
        finally:
            program.process.send_signal(signal.SIGCONT)
        program.wait_for_line("^goes on")
        assert program.stop() == 0


# ------------------------------------------------------------- a child that turns on the memory

HOSTILE = {
    "bot.py": ACTING
    + """
from liteyuki_core import LiteyukiBot, get_channel, shared_memory


if __name__ == "__main__":
    bot = LiteyukiBot()
    for name in ("hostile", "reader"):
        bot.add_process(name, f"children:{name}")

    async def act():
        hostile, reader = get_channel("hostile-active"), get_channel("reader-active")

        async def right():
            for number in range(200):
                key = f"key{number % 7}"
                if number % 3:
                    await shared_memory.async_set(key, number)
                else:
                    number += shared_memory.get(key, 0)
                    await shared_memory.async_set(key, 0)
                    assert await shared_memory.async_incr(key, number) == number
                assert shared_memory[key] == number
                await reader.async_send(key)
                found = await reader.async_receive(20)
                assert found == number, (key, number, found)
                assert shared_memory[key] == number + 1

        await right()
        for turn in range(4):
            await hostile.async_send(turn)
            say(turn, await hostile.async_receive(20))
            await right()
        # It lives on, and may still use what it could not break.
        assert bot.processes["hostile"].restarts == 0

    main(bot, act)
""",
    "children.py": """
        import mmap
        import os
        import struct
        import sys

        from liteyuki_core import shared_memory
        from liteyuki_core.comm import active_channel

        NONSENSE = [
            b"\\xff" * 8,
            struct.pack("d", float("nan")),
            struct.pack("d", float("-inf")),
            struct.pack("d", -1e308),
        ]

        def reader():
            for key in active_channel:
                found = shared_memory[key]
                shared_memory.incr(key)
                active_channel.send(found)

        def files():
            mine = [f"/proc/self/fd/{n}" for n in os.listdir("/proc/self/fd") if int(n) > 2]
            for way in mine + [f"/proc/self/map_files/{m}" for m in maps()]:
                try:
                    if os.readlink(way).startswith("/memfd:liteyuki"):
                        yield way
                except OSError:
                    pass

        def maps():
            try:
                return os.listdir("/proc/self/map_files")
            except OSError:
                return []

        def ways(path):
            if "/fd/" in path:
                yield os.dup(int(path.rpartition("/")[2]))
            for flags in (os.O_RDWR, os.O_WRONLY, os.O_RDONLY, os.O_RDWR | os.O_TRUNC):
                try:
                    yield os.open(path, flags)
                except OSError:
                    pass

        def attempt(act, *args):
            try:
                act(*args)
            except (OSError, ValueError):
                return 0
            return 1

        def scribble(file, nonsense):
            with mmap.mmap(file, 0) as memory:
                # Of the memory that a link needs: what the main process reads of it.
                memory[:] = nonsense * (len(memory) // 8)

        def hostile():
            for turn in active_channel:
                tried = cut = written = 0
                for path in files():
                    for file in ways(path):
                        tried += 1
                        nonsense = NONSENSE[turn % 4]
                        cells = "cells" in os.readlink(path)
                        there = attempt(os.pwrite, file, nonsense * 4096, 0)
                        there += attempt(scribble, file, nonsense)
                        written += cells and there
                        size = os.fstat(file).st_size
                        for length in (2 * size, 4096, 1, 0):
                            attempt(os.ftruncate, file, length)
                            cut += os.fstat(file).st_size != size
                        os.close(file)
                active_channel.send(f"tried {tried > 5}, cut {cut}, cells written {written}")
    """,
}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no way to such memory")
def test_shared_memory_that_a_child_attacks(tmp_path: Path, environment: dict[str, str]) -> None:
    """It can't be cut short, and what a child writes to it is believed by nobody."""
    write_files(tmp_path, HOSTILE)
    with running(tmp_path, environment) as program:
        went_well(program)
        assert len(program.found("^[0-3] tried True, cut 0, cells written 0$")) == 4, program.output
        assert not program.found("Traceback|ERROR|错误")


# ------------------------------------------------------------- keys that outlive the process

DURABLE = {
    "bot.py": """
        import sys
        import threading
        from liteyuki_core import LiteyukiBot, logger, shared_memory
        from writer import check, write

        if __name__ == "__main__":
            bot = LiteyukiBot()
            check("main"), check("child")
            bot.add_process("writer", "writer:run")

            @bot.on_after_start
            def hook():
                write("main")

            bot.run()
    """,
    "writer.py": """
        import sys
        import zlib
        from pathlib import Path
        from liteyuki_core import shared_memory

        def store(who):
            return shared_memory.namespace(who, persist=True)

        def check(who):
            mine = store(who)
            confirmed = Path(f"{who}.txt")
            last = int(confirmed.read_text().split()[-2]) if confirmed.exists() else -1
            held = dict(mine.items("k"))
            missing = [i for i in range(max(0, last - 399), last + 1) if f"k{i}" not in held]
            torn = [k for k, (crc, data) in held.items() if zlib.crc32(data) != crc]
            counted = mine.get("count", 0)
            print(f"{who}: {last + 1} confirmed, {len(missing)} lost, {len(torn)} torn,"
                  f" count {'ok' if counted >= last + 1 else 'lost'}", flush=True)

        def write(who):
            mine = store(who)
            confirmed = Path(f"{who}.txt")
            i = int(confirmed.read_text().split()[-2]) + 1 if confirmed.exists() else 0
            with confirmed.open("a") as file:
                while True:
                    data = bytes([i % 256]) * (i * 7919 % 20000)
                    mine[f"k{i}"] = zlib.crc32(data), data
                    mine.delete(f"k{i - 401}")
                    mine.incr("count")
                    file.write(f"{i} .\\n")
                    file.flush()
                    i += 1

        def run():
            print("writing", flush=True)
            write("child")
    """,
}


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@a_little(6, 30)
def test_what_was_confirmed_is_there_after_a_kill(
    tmp_path: Path, environment: dict[str, str], times: int
) -> None:
    """The main process is killed again and again; what it and a child were told is kept is."""
    write_files(tmp_path, DURABLE)
    environment["LITEYUKI_STORE_PATH"] = "data/store.db"
    rng = random.Random(7)
    reports = []
    for _ in range(times + 1):
        with running(tmp_path, environment) as program:
            program.wait_for_line("^writing")
            children = program.children()
            time.sleep(rng.uniform(0, 0.4))  # What is killed in the midst of its work.
            os.kill(program.process.pid, signal.SIGKILL)
            wait_until(lambda children=children: not living(children), "its child leaves")
            reports += [found[0] for found in program.found(r"^(main|child): .*$")]
    assert len(reports) == 2 * (times + 1)
    assert [r for r in reports if "0 lost, 0 torn, count ok" not in r] == []
    assert int(reports[-1].split()[1]) > 6 * times, reports[-1]


LOST = {
    "bot.py": DURABLE["bot.py"],
    "writer.py": """
        import threading
        from pathlib import Path
        from liteyuki_core import StoreError, shared_memory

        def store(who):
            return shared_memory.namespace(who, persist=True)

        def confirmed(who):
            path = Path(f"{who}.txt")
            return [int(x.split()[0]) for x in path.read_text().splitlines() if x.endswith(".")]

        def check(who):
            if not Path(f"{who}.txt").exists():
                return
            held = dict(store(who).items("k"))
            lost = [i for i in confirmed(who) if held.get(f"k{i}") != i]
            print(f"{who}: {len(lost)} lost", flush=True)

        def write(who):
            if Path("again").exists():
                print("writing", flush=True)
                threading.Event().wait()
            mine = store(who)
            i = 0
            with open(f"{who}.txt", "a") as file:
                while True:
                    try:
                        mine[f"k{i}"] = i
                    except StoreError as error:
                        print(f"{who} is told: {error}", flush=True)
                    else:
                        file.write(f"{i} .\\n")
                        file.flush()
                    i += 1

        def run():
            write("child")
    """,
}


@pytest.mark.skipif(sys.platform == "win32", reason="files in use can't be deleted there")
@pytest.mark.parametrize("what", ["store.db", "store.db-wal", "."])
def test_a_file_that_is_lost_while_in_use(
    tmp_path: Path, environment: dict[str, str], what: str
) -> None:
    """Main and a child are told and go on; after a kill all that was ever confirmed is there."""
    write_files(tmp_path, LOST)
    environment["LITEYUKI_STORE_PATH"] = "data/store.db"

    def wait_for_more() -> None:
        for who in ("main", "child"):
            path = tmp_path / f"{who}.txt"
            before = path.stat().st_size if path.exists() else 0
            program.wait_until(
                lambda path=path, before=before: (
                    path.exists() and path.stat().st_size > before + 1000
                ),
                f"{who} writes",
            )

    with running(tmp_path, environment) as program:
        wait_for_more()
        for round_ in range(2):
            lost = tmp_path / "data" / what
            lost.rename(tmp_path / f"away-{round_}") if what == "." else lost.unlink()
            program.wait_for_line(r"store\.db is written anew with \d+ keys", round_ + 1)
            wait_for_more()
        children = program.children()
        os.kill(program.process.pid, signal.SIGKILL)
        wait_until(lambda: not living(children), "its child leaves")
        assert len(program.found("is told: .*it is changed, but .*all that is kept")) >= 2
        assert len(program.found("错误.*while it was in use")) == 2
    (tmp_path / "again").touch()
    with running(tmp_path, environment) as program:
        program.wait_for_line("^writing", 2)
        assert len(program.found("^(main|child): 0 lost$")) == 2, program.output
        assert program.stop() == 0


def test_a_damaged_file(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is moved aside, the log says where, and the bot starts with a fresh one."""
    write_files(tmp_path, DURABLE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "store.db").write_bytes(b"not a database" * 1000)
    environment["LITEYUKI_STORE_PATH"] = "data/store.db"
    with running(tmp_path, environment) as program:
        program.wait_for_line("^writing")
        assert program.found(r"store\.db.*damaged"), program.output
        assert program.stop() == 0
    assert list((tmp_path / "data").glob("store.db.damaged-*"))


def test_no_file_for_keys_that_are_to_outlive(tmp_path: Path, environment: dict[str, str]) -> None:
    """The error says what to set, and nothing was."""
    found = python(
        """
        from liteyuki_core import LiteyukiBot, StoreError, shared_memory
        bot = LiteyukiBot()
        for call in (
            lambda: shared_memory.set("key", 1, persist=True),
            lambda: shared_memory.namespace("n", persist=True).incr("key"),
        ):
            try:
                call()
            except StoreError as error:
                print(error, error.key)
        print(shared_memory.get_all())
        """,
        tmp_path,
        environment,
    )
    lines = found.stdout.splitlines()
    assert ["LITEYUKI_STORE_PATH" in line for line in lines] == [True, True, False]
    assert [line.split()[-1] for line in lines] == ["key", "n:key", "{}"]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing there limits the size of files")
def test_a_full_disk(tmp_path: Path, environment: dict[str, str]) -> None:
    """Whoever sets a key learns it; it is set all the same, and kept once there is room."""
    script = """
        import asyncio, resource, signal, time
        from liteyuki_core import LiteyukiBot, StoreError, shared_memory

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        bot = LiteyukiBot()
        kept = shared_memory.namespace("n", persist=True)
        kept["before"] = 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        errors = []
        try:
            for i in range(20):
                kept[f"key{i}"] = bytes([i]) * 50_000
        except StoreError as error:
            errors.append(str(error))
        print("told:", *errors)
        print("set:", all(kept[f"key{n}"] == bytes([n]) * 50_000 for n in range(i + 1)))
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        kept["after"] = 2

        @bot.on_after_start
        def stop():
            bot.stop()

        bot.run()
        print("index:", i)
    """
    again = """
        from liteyuki_core import LiteyukiBot, shared_memory
        bot = LiteyukiBot()
        kept = shared_memory.namespace("n", persist=True)
        print(sorted(kept), kept["before"], kept["after"])
        print(all(kept[k] == bytes([int(k[3:])]) * 50_000 for k in kept.keys("key")))
        bot.on_after_start(bot.stop)
        bot.run()
    """
    environment["LITEYUKI_STORE_PATH"] = "store.db"
    first = python(script, tmp_path, environment).stdout
    told = [line for line in first.splitlines() if line.startswith("told:")]
    assert "it is changed, but" in told[0], first
    assert "set: True" in first, first
    count = int(first.split("index:")[1])
    second = python(again, tmp_path, environment).stdout
    names = sorted(["after", "before", *(f"key{n}" for n in range(count + 1))])
    assert f"{names} 1 2" in second, (first, second)
    assert "\nTrue" in second, second


def test_what_is_kept_and_what_is_not(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every change of a kept key is kept; what expires, is deleted or no longer kept is gone."""
    write = """
        import time
        from liteyuki_core import LiteyukiBot, shared_memory
        bot = LiteyukiBot()
        bot.on_after_start(bot.stop)
        shared_memory.set("plain", 1)
        shared_memory.set("kept", [1], persist=True)
        shared_memory["kept"] = [2]
        shared_memory.set("counted", 1, persist=True)
        shared_memory.incr("counted")
        shared_memory.update("kept", lambda found: found + [3])
        shared_memory.set("deleted", 1, persist=True)
        shared_memory.delete("deleted")
        shared_memory.set("unkept", 1, persist=True)
        shared_memory.set("unkept", 2, persist=False)
        shared_memory.set("cleared", 1, persist=True)
        shared_memory.clear("clear")
        shared_memory.set("short", 1, ttl=0.2, persist=True)
        shared_memory.set("expired", 1, ttl=0.01, persist=True)
        shared_memory.set("long", 1, ttl=3600, persist=True)
        bot.run()
    """
    read = """
        import time
        from liteyuki_core import LiteyukiBot, shared_memory
        bot = LiteyukiBot()
        bot.on_after_start(bot.stop)
        deadline = time.monotonic() + 20
        while "short" in shared_memory and time.monotonic() < deadline:
            time.sleep(0.01)
        print(shared_memory.get_all())
        bot.run()
    """
    environment["LITEYUKI_STORE_PATH"] = "store.db"
    first = python(write, tmp_path, environment)
    assert first.returncode == 0, first.stdout
    second = python(read, tmp_path, environment).stdout
    assert "{'counted': 2, 'kept': [2, 3], 'long': 1}" in second, (first.stdout, second)


def test_a_second_bot_with_the_same_file(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is refused with a line that says why; the first one goes on."""
    found = python(
        """
        import os, subprocess, sys
        from liteyuki_core import LiteyukiBot, StoreError, shared_memory
        bot = LiteyukiBot()
        shared_memory.set("key", 1, persist=True)
        code = "from liteyuki_core import LiteyukiBot; LiteyukiBot()"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        print(other.returncode, other.stderr.splitlines()[-1])
        shared_memory.set("key", 2, persist=True)
        bot.on_after_start(bot.stop)
        bot.run()
        """,
        tmp_path,
        environment,
        LITEYUKI_STORE_PATH="store.db",
    )
    assert "1 liteyuki_core.errors.StoreError" in found.stdout, found.stdout
    assert "another process" in found.stdout
    assert found.returncode == 0

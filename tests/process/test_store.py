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
from tests.program import living, running_program, went_well

# ------------------------------------------------------------- a main process that is stuck


@pytest.mark.skipif(sys.platform == "win32", reason="nothing there stops a process like this")
def test_a_main_process_that_is_stopped(tmp_path: Path, environment: dict[str, str]) -> None:
    """A child is told in time; what it has a copy of it reads; later it goes on."""
    with running_program(tmp_path, environment, "store_asker") as program:
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


# ------------------------------------------------------------- a main thread that reads the link


def test_a_main_thread_that_reads_is_stopped(tmp_path: Path, environment: dict[str, str]) -> None:
    """A stop breaks off no reading: each life ends at once and cleanly, whatever it was reading."""
    with running_program(tmp_path, environment, "reading") as program:
        went_well(program, timeout=90)
        assert len(program.found("process asks exited with code 0")) > 10, program.output
        assert not program.found("Traceback|ERROR|has not stopped|is gone")


# ------------------------------------------------------------- a child that turns on the memory


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is no way to such memory")
def test_shared_memory_that_a_child_attacks(tmp_path: Path, environment: dict[str, str]) -> None:
    """It can't be cut short, and what a child writes to it is believed by nobody."""
    with running_program(tmp_path, environment, "store_attack") as program:
        went_well(program)
        assert len(program.found("^[0-3] tried True, cut 0, cells written 0$")) == 4, program.output
        assert not program.found("Traceback|ERROR")


# ------------------------------------------------------------- keys that outlive the process


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
@a_little(6, 30)
def test_what_was_confirmed_is_there_after_a_kill(
    tmp_path: Path, environment: dict[str, str], times: int
) -> None:
    """The main process is killed again and again; what it and a child were told is kept is."""
    environment["LITEYUKI_STORE_PATH"] = "data/store.db"
    rng = random.Random(7)
    reports = []
    for _ in range(times + 1):
        with running_program(tmp_path, environment, "store_durable:killed") as program:
            program.wait_for_line("^writing")
            children = program.children()
            time.sleep(rng.uniform(0, 0.4))  # What is killed in the midst of its work.
            os.kill(program.process.pid, signal.SIGKILL)
            wait_until(lambda children=children: not living(children), "its child leaves")
            reports += [found[0] for found in program.found(r"^(main|child): .*$")]
    assert len(reports) == 2 * (times + 1)
    assert [r for r in reports if "0 lost, 0 torn, count ok" not in r] == []
    assert int(reports[-1].split()[1]) > 6 * times, reports[-1]


@pytest.mark.skipif(sys.platform == "win32", reason="files in use can't be deleted there")
@pytest.mark.parametrize("what", ["store.db", "store.db-wal", "."])
def test_a_file_that_is_lost_while_in_use(
    tmp_path: Path, environment: dict[str, str], what: str
) -> None:
    """Main and a child are told and go on; after a kill all that was ever confirmed is there."""
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

    with running_program(tmp_path, environment, "store_durable:lost") as program:
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
        assert len(program.found("ERROR.*while it was in use")) == 2
    (tmp_path / "again").touch()
    with running_program(tmp_path, environment, "store_durable:lost") as program:
        program.wait_for_line("^writing", 2)
        assert len(program.found("^(main|child): 0 lost$")) == 2, program.output
        assert program.stop() == 0


def test_a_damaged_file(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is moved aside, the log says where, and the bot starts with a fresh one."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "store.db").write_bytes(b"not a database" * 1000)
    environment["LITEYUKI_STORE_PATH"] = "data/store.db"
    with running_program(tmp_path, environment, "store_durable:killed") as program:
        program.wait_for_line("^writing")
        assert program.found(r"store\.db.*damaged"), program.output
        assert program.stop() == 0
    assert list((tmp_path / "data").glob("store.db.damaged-*"))


def test_no_file_for_keys_that_are_to_outlive(tmp_path: Path, environment: dict[str, str]) -> None:
    """The error says what to set, and nothing was."""
    with running_program(tmp_path, environment, "store_durable:no_file") as program:
        assert program.wait() == 0
    lines = program.lines
    assert ["LITEYUKI_STORE_PATH" in line for line in lines] == [True, True, False]
    assert [line.split()[-1] for line in lines] == ["key", "n", "{}"]


@pytest.mark.skipif(sys.platform == "win32", reason="nothing there limits the size of files")
def test_a_full_disk(tmp_path: Path, environment: dict[str, str]) -> None:
    """Whoever sets a key learns it; it is set all the same, and kept once there is room."""
    environment["LITEYUKI_STORE_PATH"] = "store.db"
    with running_program(tmp_path, environment, "store_full_disk:fills_it") as program:
        program.wait()
    first = program.output
    told = [line for line in first.splitlines() if line.startswith("told:")]
    assert "it is changed, but" in told[0], first
    assert "set: True" in first, first
    count = int(first.split("index:")[1])
    with running_program(tmp_path, environment, "store_full_disk:reads_it") as program:
        program.wait()
    second = program.output
    names = sorted(["after", "before", *(f"key{n}" for n in range(count + 1))])
    assert f"{names} 1 2" in second, (first, second)
    assert "\nTrue" in second, second


def test_what_is_kept_and_what_is_not(tmp_path: Path, environment: dict[str, str]) -> None:
    """Every change of a kept key is kept; what expires, is deleted or no longer kept is gone."""
    environment["LITEYUKI_STORE_PATH"] = "store.db"
    with running_program(tmp_path, environment, "store_durable:write_all_kinds") as first:
        assert first.wait() == 0, first.output
    with running_program(tmp_path, environment, "store_durable:read_all_kinds") as second:
        second.wait()
    assert "{'counted': 2, 'kept': [2, 3], 'long': 1}" in second.output, (
        first.output,
        second.output,
    )


def test_a_second_bot_with_the_same_file(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is refused with a line that says why; the first one goes on."""
    environment["LITEYUKI_STORE_PATH"] = "store.db"
    with running_program(tmp_path, environment, "store_durable:second_bot") as program:
        assert program.wait() == 0
    assert "1 liteyuki_core.errors.StoreError" in program.output, program.output
    assert "another process" in program.output

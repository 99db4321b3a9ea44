"""One LiteyukiBot a working directory: who is refused, and what never stays locked."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import psutil
import pytest

from liteyuki_core.errors import AlreadyRunning
from liteyuki_core.process.project_lock import FILE, ProjectLock
from tests.conftest import wait_until
from tests.program import Environment, living, running_program, unix

REFUSED = r"^liteyuki_core\.errors\.AlreadyRunning: .* with pid (\w+): "


@pytest.mark.parametrize("store", ["", "store.db"])
def test_a_second_one_is_refused(tmp_path: Path, environment: Environment, store: str) -> None:
    """It says the first one's pid and runs nothing; the first goes on; after it another can run."""
    environment["LITEYUKI_STORE_PATH"] = store
    with running_program(tmp_path, environment, "locking:echoes") as first:
        first.wait_for_line("^started")
        with running_program(tmp_path, environment, "locking:echoes") as second:
            assert second.wait() == 1
            assert second.wait_for_line(REFUSED)[1] == str(first.process.pid)
            assert not second.found("started|LiteyukiBot stops")
        (tmp_path / "ask").touch()
        first.wait_for_line("^echo of it")
        assert first.stop() == 0
    with running_program(tmp_path, environment, "locking:echoes") as third:
        third.wait_for_line("^started")
        assert third.stop() == 0


def test_another_directory_is_another_project(tmp_path: Path, environment: Environment) -> None:
    """Two run side by side there."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        running_program(tmp_path / "one", environment, "locking:echoes") as one,
        running_program(tmp_path / "two", environment, "locking:echoes") as two,
    ):
        one.wait_for_line("^started")
        two.wait_for_line("^started")
        assert one.stop() == two.stop() == 0


def test_two_at_the_same_moment(tmp_path: Path, environment: Environment) -> None:
    """Exactly one runs, and the other one knows its pid, whatever the file said before."""
    (tmp_path / FILE).write_text("1\n", encoding="utf-8")
    with (
        running_program(tmp_path, environment, "locking:echoes") as one,
        running_program(tmp_path, environment, "locking:echoes") as two,
    ):
        both = (one, two)
        wait_until(lambda: any(bot.process.poll() is not None for bot in both), "one has ended")
        runs, refused = both if two.process.poll() is not None else both[::-1]
        runs.wait_for_line("^started")
        assert refused.wait() == 1
        assert refused.wait_for_line(REFUSED)[1] == str(runs.process.pid)
        assert runs.stop() == 0


def test_nothing_is_stale_after_a_kill(tmp_path: Path, environment: Environment) -> None:
    """The next one runs at once, beside orphans that have not left yet."""
    with running_program(tmp_path, environment, "locking:leaves_an_orphan") as first:
        orphans = [psutil.Process(int(first.wait_for_line(r"^ready (\d+)")[1]))]
        first.children()
        first.process.kill()
        first.process.wait()
        assert living(orphans)
        with running_program(tmp_path, environment, "locking:leaves_an_orphan") as second:
            second.wait_for_line("^ready")
            wait_until(lambda: not living(orphans), "the orphans have left", timeout=5)
            (tmp_path / "second").touch()
            assert second.stop() == 0


@unix
def test_a_forked_copy_does_not_hold_it(tmp_path: Path, environment: Environment) -> None:
    """A copy of the main process that outlives it keeps nobody from starting."""
    with running_program(
        tmp_path, {**environment, "PYTHONWARNINGS": "ignore"}, "locking:leaves_a_copy"
    ) as first:
        copy = psutil.Process(int(first.wait_for_line(r"^copy (\d+)")[1]))
        with running_program(tmp_path, environment, "locking:leaves_a_copy") as second:
            assert second.wait() == 1  # The copy has let go of the file, not of the lock.
        first.children()
        first.process.kill()
        first.process.wait()
        assert living([copy])
        with running_program(tmp_path, environment, "locking:leaves_a_copy") as third:
            third.wait_for_line("^started again")
            assert third.stop() == 0
        (tmp_path / "go").touch()
        wait_until(lambda: not living([copy]), "the copy has ended")


def test_what_it_starts_does_not_hold_it(tmp_path: Path, environment: Environment) -> None:
    """A program that a bot has started and left keeps nobody from starting."""
    with running_program(tmp_path, environment, "locking:leaves_a_program") as first:
        left = psutil.Process(int(first.wait_for_line(r"^left (\d+)")[1]))
        wait_until(lambda: first.process.poll() is not None, "an end")
        with running_program(tmp_path, environment, "locking:leaves_a_program") as second:
            assert second.wait() == 0
        assert living([left])
        (tmp_path / "go").touch()
        wait_until(lambda: not living([left]), "it has ended")
        assert first.wait() == 0


@pytest.mark.parametrize("end", ["in order", "the loop is stopped"])
def test_run_gives_it_up(tmp_path: Path, environment: Environment, end: str) -> None:
    """Also where `run` raises; the process then has nothing locked, and can run another bot."""
    with running_program(tmp_path, environment, "locking:one_after_another", end) as bot:
        assert bot.wait() == 0
        assert bot.found("^ran 0 ''$")
        assert bot.found("^ran 1 ''$")


def test_where_nothing_can_be_locked(tmp_path: Path, environment: Environment) -> None:
    """A warning says so, and the bot runs."""
    (tmp_path / FILE).mkdir()
    with running_program(tmp_path, environment, "locking:echoes") as bot:
        bot.wait_for_line("^started")
        assert len(bot.found(rf"{FILE} can't be locked .*: a second LiteyukiBot")) == 1
        assert bot.stop() == 0


@unix
def test_a_full_disk(tmp_path: Path, environment: Environment) -> None:
    """The lock holds where the pid can't be written; who is refused is told no wrong one."""
    (tmp_path / FILE).write_text("1\n", encoding="utf-8")
    with running_program(
        tmp_path, environment, "locking:echoes_on_a_full_disk", PYTHONDONTWRITEBYTECODE="1"
    ) as first:
        first.wait_for_line("^started")
        with running_program(tmp_path, environment, "locking:echoes") as second:
            assert second.wait() == 1
            assert second.wait_for_line(REFUSED)[1] == "unknown"
        assert first.stop() == 0


@unix
@pytest.mark.parametrize("target", ["precious", "not there"])
def test_a_symbolic_link(tmp_path: Path, environment: Environment, target: str) -> None:
    """It is said which file that is; nothing runs, and what it points to is as it was."""
    (tmp_path / "precious").write_text("precious", encoding="utf-8")
    (tmp_path / FILE).symlink_to(tmp_path / target)
    with running_program(tmp_path, environment, "locking:echoes") as bot:
        assert bot.wait() == 1
        assert bot.found(rf"LiteyukiError: .*{re.escape(str(tmp_path / FILE))} is a symbolic link")
        assert not bot.found("started")
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "precious"
    assert not (tmp_path / "not there").exists()


def test_the_error_keeps_the_pid_through_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As who catches it, or a channel, has it."""
    monkeypatch.chdir(tmp_path)
    holder, other = ProjectLock(), ProjectLock()
    holder.acquire()
    try:
        with pytest.raises(AlreadyRunning) as caught:
            other.acquire()
    finally:
        holder.release()
    back = pickle.loads(pickle.dumps(caught.value))
    assert back.pid == caught.value.pid == os.getpid()
    assert str(back) == str(caught.value)
    other.acquire()
    other.release()
    other.release()

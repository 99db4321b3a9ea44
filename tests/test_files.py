"""Files that are the user's alone: the store's, the log's, the lock's, whatever the umask."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from liteyuki_core import files
from tests.program import running_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="modes as Unix has them")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def shared(folder: Path) -> dict[str, str]:
    """Return the modes of what is there and not the user's alone."""
    return {
        str(path.relative_to(folder)): oct(mode(path))
        for path in folder.rglob("*")
        if mode(path) != (0o700 if path.is_dir() else 0o600)
        and path.suffix not in (".py", ".pyc")
        and path.name != "__pycache__"
    }


@pytest.mark.parametrize(
    ("umask", "compression"), [("0", "gz"), ("777", "xz"), ("0", "zip"), ("22", "tar.bz2")]
)
def test_whatever_the_umask(
    tmp_path: Path, environment: dict[str, str], umask: str, compression: str
) -> None:
    """All that a bot makes is nobody else's: as it runs, old log files, and what it leaves."""
    environment.update(
        LITEYUKI_STORE_PATH="data/deep/store.db",
        LITEYUKI_LOG_FILE="logs/deep/bot.log",
        LITEYUKI_LOG_ROTATION="10 KB",
        LITEYUKI_LOG_COMPRESSION=compression,
        PYTHONDONTWRITEBYTECODE="1",
    )
    with running_program(tmp_path, environment, "private_files", umask) as program:
        program.wait_for_line("^written")
        names = {path.name for path in tmp_path.rglob("*")}
        assert {"store.db", "store.db-wal", "bot.log", ".liteyuki.lock"} <= names
        assert shared(tmp_path) == {}
        assert program.stop() == 0
        assert not program.found("Traceback|ERROR")
    assert len(list(tmp_path.rglob(f"*.{compression}"))) > 2
    assert shared(tmp_path) == {}


def test_what_was_there_before(tmp_path: Path, environment: dict[str, str]) -> None:
    """Files of this user are taken from others and go on being used; folders stay as they are."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data").chmod(0o755)
    before = ["data/store.db", "data/bot.log", ".liteyuki.lock"]
    environment.update(LITEYUKI_STORE_PATH=before[0], LITEYUKI_LOG_FILE=before[1])
    for run in range(2):
        for name in before:
            (tmp_path / name).touch()
            (tmp_path / name).chmod(0o666)
        with running_program(tmp_path, environment, "private_files", "0") as program:
            program.wait_for_line("^written")
            assert shared(tmp_path) == {"data": "0o755"}
            assert program.stop() == 0
        assert (tmp_path / "data" / "bot.log").read_text("utf-8").count("line 299 ") == run + 1


def test_nothing_is_done_to_what_is_no_file(tmp_path: Path) -> None:
    """A device or a pipe stays as it is, and so does what is not there."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "pipe").chmod(0o666)
    os.close(files.open_private(tmp_path / "pipe", os.O_RDWR))
    assert mode(tmp_path / "pipe") == 0o666
    files.tighten(str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_a_link_to_a_file_that_is_not_there(tmp_path: Path) -> None:
    """As for a log file: what it points to is made."""
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.close(files.open_private(tmp_path / "link", os.O_WRONLY))
    assert mode(tmp_path / "file") == 0o600
    with pytest.raises(OSError, match="link"):
        files.open_private(tmp_path / "link", os.O_WRONLY | os.O_NOFOLLOW)


def test_folders(tmp_path: Path) -> None:
    """Those that are missing are made; a file in the way is an error."""
    files.make_folders(str(tmp_path / "a" / "b" / "c"))
    files.make_folders(str(tmp_path / "a" / "b" / "c"))
    assert shared(tmp_path) == {}
    (tmp_path / "file").touch()
    for name in ("file", "file/below"):
        with pytest.raises(OSError, match="file"):
            files.make_folders(str(tmp_path / name))

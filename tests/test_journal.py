"""The store's SQLite file: what it keeps, and what it does about damage, full disks and ends."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from liteyuki_core import log
from liteyuki_core.comm.journal import MAX_BYTES, Journal, Record
from liteyuki_core.errors import StoreError
from tests.conftest import DEADLINE, wait_until


class Told:
    """What a journal told about its tickets."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, StoreError | None]] = []

    def __call__(self, ticket: int, error: StoreError | None) -> None:
        assert threading.current_thread().name == "liteyuki-journal"
        self.calls.append((ticket, error))

    def wait(self, ticket: int) -> None:
        """Wait until everything up to `ticket` is committed."""
        wait_until(
            lambda: any(told >= ticket and error is None for told, error in list(self.calls)),
            f"ticket {ticket} committed",
        )


@contextmanager
def opened(path: Path) -> Iterator[tuple[Journal, Told, dict[str, Record]]]:
    """A journal, what it tells, and what it held; it is closed on leaving."""
    told = Told()
    journal = Journal(path, told)
    try:
        yield journal, told, {record.key: record for record in journal.open()}
    finally:
        assert journal.close(DEADLINE)


def held(path: Path) -> dict[str, Record]:
    """Return what the file holds."""
    with opened(path) as (_, _, records):
        return records


def value(key: str, data: bytes = b"value", expires_at: float | None = None) -> Record:
    """Return a record."""
    return Record(key, "p", data, expires_at)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The lines of the log, level first."""
    found: list[str] = []
    sink = log.logger.add(lambda line: found.append(str(line)), format="{level} {message}")
    yield found
    log.logger.remove(sink)


def test_round_trip(tmp_path: Path) -> None:
    """Keys, kinds, bytes and times come back as they were; the folders are made."""
    path = tmp_path / "some" / "where" / "store.db"
    records = [
        value("a"),
        Record("键 🔑", "j", "值".encode(), 4e12),
        Record("with \0 and \ud800", "é", bytes(range(256)), 4e12 + 1 / 3),
        Record("empty", " ", b"", float("inf")),
        Record("big", "p", os.urandom(3_000_000), None),
        Record("whole seconds", "p", b"1", 4_000_000_000),
    ]
    with opened(path) as (journal, told, before):
        assert before == {}
        tickets = [journal.write(record.key, record) for record in records]
        assert tickets == [1, 2, 3, 4, 5, 6]
        told.wait(6)
    assert held(path) == {record.key: record for record in records}
    assert os.listdir(path.parent) == ["store.db"]


def test_a_time_that_is_no_number_is_never(tmp_path: Path) -> None:
    """It is not taken for damage."""
    with opened(tmp_path / "store.db") as (journal, _, _):
        journal.write("a", value("a", expires_at=float("nan")))
    assert held(tmp_path / "store.db") == {"a": value("a")}


def test_the_newest_wins(tmp_path: Path) -> None:
    """Within one batch, from one to the next, and after a deletion."""
    path = tmp_path / "store.db"
    with opened(path) as (journal, told, _):
        for i in range(1000):
            journal.write("a", value("a", b"%d" % i))
        journal.write("b", value("b", b"old"))
        told.wait(1001)
        journal.write("b", None)
        journal.write("b", value("b", b"new"))
        journal.write("c", None)
    assert held(path) == {"a": value("a", b"999"), "b": value("b", b"new")}


def test_deleted(tmp_path: Path) -> None:
    """What was deleted is not there, whether it was ever written or not."""
    path = tmp_path / "store.db"
    with opened(path) as (journal, told, _):
        told.wait(journal.write("a", value("a")))
        told.wait(journal.write("a", None))
        journal.write("b", value("b"))
        journal.write("b", None)
        journal.write("never there", None)
        journal.write("c", value("c"))
    assert held(path) == {"c": value("c")}


def rows(path: Path) -> int:
    """Return how many rows the file of a closed journal has."""
    connection = sqlite3.connect(path)
    try:
        (count,) = connection.execute("SELECT count(*) FROM records").fetchone()
    finally:
        connection.close()
    assert isinstance(count, int)
    return count


def test_expired(tmp_path: Path) -> None:
    """What has expired is left out at the next start and deleted; a new value of its key is not."""
    path = tmp_path / "store.db"
    with opened(path) as (journal, _, _):
        for i in range(10):
            journal.write(f"past {i}", value(f"past {i}", expires_at=1.5 + i))
        journal.write("future", value("future", expires_at=4e12))
    assert rows(path) == 11
    with opened(path) as (journal, told, before):
        assert before == {"future": value("future", expires_at=4e12)}
        journal.write("past 3", value("past 3", b"again"))
    assert [ticket for ticket, _ in told.calls if ticket] == [1]
    assert rows(path) == 2
    assert held(path) == {**before, "past 3": value("past 3", b"again")}


# --------------------------------------------------------------------- damage


def garbage(path: Path) -> None:
    path.write_bytes(b"this is a text\n" * 1000)


def no_header(path: Path) -> None:
    path.write_bytes(bytes(100) + path.read_bytes()[100:])


def cut_in_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_within_a_page(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 4000)


def cut_to_a_few_bytes(path: Path) -> None:
    os.truncate(path, 10)


def zeros(path: Path, at: int, count: int) -> None:
    data = bytearray(path.read_bytes())
    data[at : at + count] = bytes(count)
    path.write_bytes(data)


def zero_page_in_the_middle(path: Path) -> None:
    zeros(path, path.stat().st_size // 2 // 4096 * 4096, 4096)


def zeros_inside_a_value(path: Path) -> None:
    zeros(path, path.read_bytes().index(b"needle" * 500) + 1000, 20)


def other_columns(path: Path) -> None:
    alter(path, "ALTER TABLE records ADD COLUMN more TEXT")


def other_table(path: Path) -> None:
    alter(path, "CREATE TABLE more (a)")


def other_database(path: Path) -> None:
    path.unlink()
    alter(path, "CREATE TABLE records (key TEXT)")


def value_of_another_type(path: Path) -> None:
    alter(path, "UPDATE records SET data = 'text' WHERE key = x'61'")


def alter(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


DAMAGES = [
    garbage,
    no_header,
    cut_in_half,
    cut_within_a_page,
    cut_to_a_few_bytes,
    zero_page_in_the_middle,
    zeros_inside_a_value,
    other_columns,
    other_table,
    other_database,
    value_of_another_type,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged(damage: Callable[[Path], None], tmp_path: Path, lines: list[str]) -> None:
    """The file is moved aside, one ERROR line says where to, and a fresh one works."""
    path = tmp_path / "store.db"
    with opened(path) as (journal, _, _):
        journal.write("a", value("a"))
        for i in range(500):
            journal.write(f"key {i}", value(f"key {i}", os.urandom(10000)))
        journal.write("needle", value("needle", b"needle" * 10000))
    assert path.stat().st_size > 5_000_000
    damage(path)
    damaged = path.read_bytes()
    with opened(path) as (journal, _, records):
        assert records == {}
        journal.write("b", value("b", b"new"))
    (aside,) = (name for name in os.listdir(tmp_path) if name != "store.db")
    assert aside.startswith("store.db.damaged-20")
    if "other" not in damage.__name__ and damage is not value_of_another_type:
        assert (tmp_path / aside).read_bytes() == damaged
    (line,) = lines
    assert line.startswith("ERROR")
    assert str(tmp_path / aside) in line
    assert held(path) == {"b": value("b", b"new")}


def test_an_empty_file_is_a_fresh_one(tmp_path: Path, lines: list[str]) -> None:
    """SQLite makes it before it writes anything, so that is what an early end leaves."""
    path = tmp_path / "store.db"
    path.touch()
    with opened(path) as (journal, _, records):
        assert records == {}
        journal.write("a", value("a"))
    assert held(path) == {"a": value("a")}
    assert lines == []


def test_never_over_another_file(tmp_path: Path, lines: list[str]) -> None:
    """Files damaged within the same second are all kept."""
    path = tmp_path / "store.db"
    for i in range(4):
        path.write_bytes(b"%d" % i * 1000)
        assert held(path) == {}
    kept = [other.read_bytes() for other in tmp_path.glob("store.db.damaged-*")]
    assert sorted(kept) == [b"%d" % i * 1000 for i in range(4)]
    assert len(lines) == 4


# --------------------------------------------------------------- can't be used


def refused(path: Path) -> str:
    """Return what `open` says, which must be an error, and that nothing is left of it."""
    told = Told()
    journal = Journal(path, told)
    with pytest.raises(StoreError) as caught:
        journal.open()
    assert journal.close(0)
    assert told.calls == []
    return str(caught.value)


def test_a_folder(tmp_path: Path) -> None:
    """It is said, and nothing is done to it."""
    (tmp_path / "store.db" / "inner").mkdir(parents=True)
    text = refused(tmp_path / "store.db")
    assert f"{tmp_path / 'store.db'} can't be used: it is a folder" in text
    assert "LITEYUKI_STORE_PATH" in text
    assert os.listdir(tmp_path) == ["store.db"]


def test_below_a_file(tmp_path: Path) -> None:
    """A folder that can't be made."""
    (tmp_path / "file").touch()
    assert "can't be used" in refused(tmp_path / "file" / "data" / "store.db")
    assert os.listdir(tmp_path) == ["file"]


def test_too_long_for_sqlite(tmp_path: Path) -> None:
    """Refused at once, as it would keep everything else from being written."""
    with opened(tmp_path / "store.db") as (journal, _, _):
        with pytest.raises(StoreError, match=r"key 'big'.*999000000 bytes"):
            journal.write("big", value("big", bytes(MAX_BYTES + 1)))
        assert journal.write("a", value("a")) == 1
    assert held(tmp_path / "store.db") == {"a": value("a")}

"""The store's SQLite file: what it keeps, and what it does about damage, full disks and ends."""

from __future__ import annotations

import os
import random
import re
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from liteyuki_core import log
from liteyuki_core.comm.store.journal import MAX_BYTES, Journal, Record
from liteyuki_core.errors import StoreError
from tests.children.journals import change
from tests.conftest import DEADLINE, a_little, wait_until
from tests.program import Program, python, running_program, unix


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
    journal = Journal(path, told, list)
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


def using(
    folder: Path, environment: dict[str, str], program: str, *arguments: object
) -> AbstractContextManager[Program]:
    """Run a program that uses a journal."""
    words = [str(argument) for argument in arguments]
    return running_program(folder, environment, program, *words, LITEYUKI_LOG_LANG="en")


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


def commits(path: Path) -> int:
    """Return how many transactions SQLite has appended to the file beside the open one."""
    data = path.with_name(path.name + "-wal").read_bytes()
    size = int.from_bytes(data[8:12], "big")
    frames = range(32, len(data), 24 + size)
    # A frame that ends a transaction says how many pages there are then, the others 0.
    return sum(data[at + 4 : at + 8] != bytes(4) for at in frames)


def test_batches(tmp_path: Path) -> None:
    """What gathers while the thread is busy is one transaction, with only the newest of a key."""
    path = tmp_path / "store.db"
    busy, go_on = threading.Event(), threading.Event()
    told: list[tuple[int, StoreError | None]] = []

    def on_written(ticket: int, error: StoreError | None) -> None:
        told.append((ticket, error))
        busy.set()
        assert go_on.wait(DEADLINE)

    journal = Journal(path, on_written, list)
    try:
        journal.open()
        before = commits(path)
        journal.write("first", value("first"))
        assert busy.wait(DEADLINE)
        for i in range(5000):
            key = f"key {i % 10}"
            journal.write(key, value(key, b"old" if i < 4990 else b"new"))
        journal.write("first", None)
        go_on.set()
        wait_until(lambda: told[-1][0] == 5002)
        assert told == [(1, None), (5002, None)]
        assert commits(path) == before + 2
        assert b"old" not in path.with_name("store.db-wal").read_bytes()
    finally:
        go_on.set()
        assert journal.close(DEADLINE)
    assert held(path) == {f"key {i}": value(f"key {i}", b"new") for i in range(10)}


def test_many_threads(tmp_path: Path) -> None:
    """Each call has a ticket of its own, none is left out, and each thread's last value stays."""
    path = tmp_path / "store.db"
    tickets: list[int] = []

    def work(key: str) -> None:
        tickets.extend([journal.write(key, value(key, b"%d" % i)) for i in range(500)])

    with opened(path) as (journal, told, _):
        threads = [threading.Thread(target=work, args=(f"key {i}",)) for i in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        told.wait(4000)
    assert sorted(tickets) == list(range(1, 4001))
    assert [ticket for ticket, _ in told.calls] == sorted({ticket for ticket, _ in told.calls})
    assert held(path) == {f"key {i}": value(f"key {i}", b"499") for i in range(8)}


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
    assert line.count("\n") == 1
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


@pytest.mark.parametrize("damage", [garbage, zero_page_in_the_middle])
def test_damaged_after_a_kill(
    damage: Callable[[Path], None], tmp_path: Path, environment: dict[str, str], lines: list[str]
) -> None:
    """What a killed process left beside the file never goes into the fresh one."""
    path = tmp_path / "store.db"
    with opened(path) as (journal, _, _):
        for i in range(100):
            journal.write(f"key {i}", value(f"key {i}", os.urandom(10000)))
    leave(path, environment, "a", "b")
    beside = (tmp_path / "store.db-wal").read_bytes()
    damage(path)
    assert held(path) == {}
    assert len(lines) == 1
    if damage is garbage:
        (aside,) = tmp_path.glob("store.db.damaged-*-wal")
        assert aside.read_bytes() == beside
        assert aside.with_name(aside.name.removesuffix("-wal")).exists()
    assert not (tmp_path / "store.db-wal").exists()
    assert held(path) == {}


def test_a_torn_end_is_no_damage(
    tmp_path: Path, environment: dict[str, str], lines: list[str]
) -> None:
    """Where the machine ends while a batch is written, that batch is not there, and all else is."""
    path = tmp_path / "store.db"
    leave(path, environment, "a", "b")
    log = tmp_path / "store.db-wal"
    os.truncate(log, log.stat().st_size - 100)
    assert set(held(path)) == {"a"}
    assert lines == []


def leave(path: Path, environment: dict[str, str], *keys: str) -> None:
    """Write keys, one a batch, in a process that ends without closing the file."""
    with using(path.parent, environment, "journals:leaves", path, *keys) as user:
        assert user.wait() == 7, user.output
    assert path.with_name(path.name + "-wal").stat().st_size > 0


def test_any_damage(tmp_path: Path, lines: list[str]) -> None:
    """Either everything is there as it was, or nothing is and the file is moved aside."""
    chance = random.Random(4)
    path = tmp_path / "store.db"
    with opened(path) as (journal, _, _):
        for i in range(200):
            data = chance.randbytes((10, 100, 3000, 20000)[i % 4])
            journal.write(f"key {i}", value(f"key {i}", data))
        for i in range(0, 200, 7):
            journal.write(f"key {i}", None)
    whole, records = path.read_bytes(), held(path)
    assert len(records) == 171
    for i in range(60):
        data = bytearray(whole)
        at = chance.randrange(100, len(data))
        match i % 4:
            case 0:
                del data[at:]
            case 1:
                data[at] ^= 1 << chance.randrange(8)
            case 2:
                data[at : at + 100] = bytes(len(data[at : at + 100]))
            case _:
                data[at : at + 5000] = bytes(len(data[at : at + 5000]))
        path.write_bytes(data)
        before = len(lines)
        found = held(path)
        if len(lines) == before:
            assert found == records, (i, at)
        else:
            assert found == {}, (i, at)
    assert 20 < len(lines) < 60
    assert len(list(tmp_path.glob("store.db.damaged-*"))) == len(lines)


# --------------------------------------------------------------- can't be used


def refused(path: Path) -> str:
    """Return what `open` says, which must be an error, and that nothing is left of it."""
    told = Told()
    journal = Journal(path, told, list)
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


def test_in_use(tmp_path: Path, environment: dict[str, str], lines: list[str]) -> None:
    """By another process, or by this one; nothing is moved, and once that has ended it works."""
    path = tmp_path / "store.db"
    with using(tmp_path, environment, "journals:uses", path) as other:
        other.wait_for_line("^1 None$")
        assert "in use by another process" in refused(path)
        assert not list(tmp_path.glob("*damaged*"))
    with opened(path) as (_, _, records):
        assert records == {"a": value("a", b"1")}
        assert "in use by another process" in refused(path)
    assert lines == []


@unix
def test_no_permission(tmp_path: Path, environment: dict[str, str]) -> None:
    """A file that may only be read, a folder that may, one that may not be made."""
    with using(tmp_path, environment, "journals_on_unix:no_permission") as user:
        assert user.wait() == 0, user.output
    *errors, files = user.lines
    assert len(errors) == 4, user.output
    for line in errors:
        assert re.match(r"error: the store's file .* can't be used: .*may be written to", line)
    assert files == "['store.db', 'store.db']"


def test_too_long_for_sqlite(tmp_path: Path) -> None:
    """Refused at once, as it would keep everything else from being written."""
    with opened(tmp_path / "store.db") as (journal, _, _):
        with pytest.raises(StoreError, match=r"key 'big'.*999000000 bytes"):
            journal.write("big", value("big", bytes(MAX_BYTES + 1)))
        assert journal.write("a", value("a")) == 1
    assert held(tmp_path / "store.db") == {"a": value("a")}


# ------------------------------------------------------------------ full disk


@unix
def test_full_disk(tmp_path: Path, environment: dict[str, str]) -> None:
    """It is said once, kept, tried again by itself and after a new write; nothing is lost."""
    with using(tmp_path, environment, "journals_on_unix:full_disk", tmp_path / "store.db") as user:
        assert user.wait() == 0, user.output
    said = [line for line in user.lines if "[" not in line[:40] or line.startswith("held")]
    assert said == [
        "at first written",
        "big failed",
        "another failed",
        "again failed",
        "by itself written",
        "full again failed",
        "at once written",
        "full at the end failed",
        "closed False",
        "held [('a', 1), ('b', 1000000), ('c', 2000), ('d', 5000000), ('e', 1)]",
        "still full failed",
        "closed False",
    ], user.output
    assert len(user.found(r"ERROR\] the store's file .*store\.db can't be written: ")) == 4
    assert len(user.found(r"INFO\] the store's file .* is written again; nothing was lost")) == 2
    assert len(user.found(r"ERROR\] .* is left with 1 keys not written: \w+")) == 1
    assert len(user.found(r"ERROR\] .* is left with 2 keys not written: \w+")) == 1
    with opened(tmp_path / "store.db") as (_, _, records):
        assert {key: record.data for key, record in records.items()} == {
            key: key.encode() * size
            for key, size in (("a", 1), ("b", 10**6), ("c", 2000), ("d", 5 * 10**6), ("e", 1))
        }


def test_what_cannot_be_written_at_all(tmp_path: Path, lines: list[str]) -> None:
    """It is told, and what replaces it is written, with everything else that was kept."""
    path = tmp_path / "store.db"
    with opened(path) as (journal, told, _):
        journal.write("a", value("a"))
        ticket = journal.write("b", Record("b", "\ud800", b"", None))
        wait_until(lambda: told.calls and told.calls[-1][0] == ticket, "the failure told")
        error = told.calls[-1][1]
        assert error is not None
        assert "store.db can't be written: 'utf-8' codec can't encode" in str(error)
        journal.write("b", value("b"))
        told.wait(ticket + 1)
    assert held(path) == {"a": value("a"), "b": value("b")}
    assert [line.split()[0] for line in lines] == ["ERROR", "INFO"]


# ------------------------------------------------------------ lost while in use


def delete(path: Path) -> None:
    path.unlink()


def delete_what_is_not_in_it_yet(path: Path) -> None:
    path.with_name("store.db-wal").unlink()


def delete_both(path: Path) -> None:
    delete(path)
    delete_what_is_not_in_it_yet(path)


def move_the_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def delete_the_folder(path: Path) -> None:
    shutil.rmtree(path.parent.parent)


def put_another(path: Path) -> None:
    (path.parent / "other").write_bytes(b"somebody's" * 1000)
    (path.parent / "other").rename(path)


def put_an_empty_one(path: Path) -> None:
    path.unlink()
    path.touch()


def put_a_backup(path: Path) -> None:
    with opened(path.parent / "backup.db") as (journal, _, _):
        journal.write("old", value("old"))
        journal.write("a", value("a", b"old"))
    (path.parent / "backup.db").rename(path)


def put_another_beside(path: Path) -> None:
    (path.parent / "other").write_bytes(path.with_name("store.db-wal").read_bytes())
    (path.parent / "other").rename(path.with_name("store.db-wal"))


def empty_it(path: Path) -> None:
    os.truncate(path, 0)


LOSSES = [
    delete,
    delete_what_is_not_in_it_yet,
    delete_both,
    move_the_folder,
    delete_the_folder,
    put_another,
    put_an_empty_one,
    put_a_backup,
    put_another_beside,
    empty_it,
]


class Kept:
    """What a store has in memory, with a journal of it."""

    def __init__(self, path: Path) -> None:
        self.told = Told()
        self.records: dict[str, Record] = {}
        self.journal = Journal(path, self.told, lambda: list(self.records.values()))
        self.records = {record.key: record for record in self.journal.open()}

    def write(self, key: str, data: bytes) -> int:
        self.records[key] = value(key, data)
        return self.journal.write(key, self.records[key])

    def delete(self, key: str) -> int:
        del self.records[key]
        return self.journal.write(key, None)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    """A journal with some keys in it, in folders of its own."""
    made = Kept(tmp_path / "data" / "deep" / "store.db")
    for number in range(30):
        made.write(f"key {number}", os.urandom(40_000))
    made.write("deleted", b"deleted")
    made.write("a", b"value")
    made.told.wait(made.delete("deleted"))
    yield made
    assert made.journal.close(DEADLINE)


@unix
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_lost_while_in_use(
    lose: Callable[[Path], None], tmp_path: Path, kept: Kept, lines: list[str]
) -> None:
    """Who waits is told, all that is kept is written anew, and nothing that was there is lost."""
    path = tmp_path / "data" / "deep" / "store.db"
    for round_ in range(3):
        lose(path)
        del lines[:]
        ticket = kept.write("b", b"%d" % round_)
        kept.told.wait(ticket)
        errors = [error for told, error in kept.told.calls if told >= ticket and error]
        assert len(errors) == 1, errors
        assert "while it was in use; all that is kept is in memory" in str(errors[0])
        assert [line.split()[0] for line in lines] == ["ERROR", "INFO"], lines
        assert str(path) in lines[0]
        assert f"{path} is written anew with 32 keys" in lines[1]
        before = len(kept.told.calls)
        kept.told.wait(kept.write("c", b"%d" % round_))
        kept.told.wait(kept.delete("c"))
        assert [error for _, error in kept.told.calls[before:]] == [None] * 2
        if lose is move_the_folder:
            shutil.rmtree(tmp_path / "data" / "elsewhere")
    aside = list(path.parent.glob("store.db.damaged-*"))
    others = (put_another, put_a_backup, put_another_beside)
    assert len(aside) == (3 if lose in others else 0)
    assert all(str(path.parent / "store.db.damaged-") in line for line in lines[1:] if aside)
    assert kept.journal.close(DEADLINE)
    assert held(path) == kept.records
    if lose is put_a_backup:
        assert held(aside[0])["a"].data == b"old"


@unix
@pytest.mark.parametrize("lose", LOSSES, ids=lambda lose: lose.__name__)
def test_lost_before_the_end(
    lose: Callable[[Path], None], tmp_path: Path, kept: Kept, lines: list[str]
) -> None:
    """It is seen when it is closed, though nothing is left to be written."""
    path = tmp_path / "data" / "deep" / "store.db"
    lose(path)
    assert kept.journal.close(DEADLINE)
    assert [line.split()[0] for line in lines] == ["ERROR", "INFO"], lines
    assert held(path) == kept.records


@unix
def test_lost_and_no_way_to_make_it_anew(tmp_path: Path, kept: Kept, lines: list[str]) -> None:
    """It stays an error until there is one; then all is there, without another change."""
    path = tmp_path / "data" / "deep" / "store.db"
    delete_the_folder(path)
    (tmp_path / "data").write_bytes(b"in the way")
    ticket = kept.write("b", b"1")
    told = kept.told.calls
    wait_until(lambda: sum(t == ticket for t, _ in list(told)) > 2, "it was tried more than once")
    assert all(error for told, error in kept.told.calls if told == ticket)
    assert "can't be written anew" in str(kept.told.calls[-1][1])
    (tmp_path / "data").unlink()
    kept.told.wait(ticket)
    assert [line.split()[0] for line in lines] == ["ERROR", "ERROR", "INFO"], lines
    assert "can't be written anew" in lines[1]
    assert kept.journal.close(DEADLINE)
    assert held(path) == kept.records


@unix
def test_lost_at_the_end_and_no_way(tmp_path: Path, kept: Kept, lines: list[str]) -> None:
    """The log says how many keys are not written."""
    path = tmp_path / "data" / "deep" / "store.db"
    delete_the_folder(path)
    (tmp_path / "data").write_bytes(b"in the way")
    assert kept.journal.close(0.3) is False
    assert "left with 31 keys not written" in lines[-1]
    kept.journal._thread.join(DEADLINE)  # type: ignore[union-attr]
    (tmp_path / "data").unlink()
    kept.records.clear()
    kept.journal._noted.clear()
    kept.journal._writing.clear()


@unix
def test_another_process_has_made_one_in_its_place(
    tmp_path: Path, environment: dict[str, str], kept: Kept, lines: list[str]
) -> None:
    """That one is left alone for as long as it uses the file."""
    path = tmp_path / "data" / "deep" / "store.db"
    move_the_folder(path)
    with using(tmp_path, environment, "journals:takes_over", path) as other:
        other.wait_for_line("^1 None$")
        ticket = kept.write("b", b"1")
        wait_until(lambda: "another process uses" in str(kept.told.calls[-1][1]), "it is told")
        (tmp_path / "go").touch()
        other.wait_for_line("^2 None$")
        wait_until(lambda: kept.told.calls[-3][0] == ticket, "it is tried again")
        assert "another process uses" in str(kept.told.calls[-1][1])
    kept.told.wait(ticket)
    assert kept.journal.close(DEADLINE)
    assert held(path) == kept.records
    (aside,) = path.parent.glob("store.db.damaged-*[0-9]")
    assert set(held(aside)) == {"other's"}


@pytest.mark.parametrize("left", ["missing", "empty"])
def test_nothing_beside_changes_that_belong_to_it(
    tmp_path: Path, environment: dict[str, str], lines: list[str], left: str
) -> None:
    """It is not begun anew in silence, and what is left is kept: put back, all is there."""
    path = tmp_path / "store.db"
    leave(path, environment, "a", "b")
    beside, before = path.with_name("store.db-wal").read_bytes(), path.read_bytes()
    path.unlink() if left == "missing" else path.write_bytes(b"")
    with opened(path) as (journal, _, records):
        assert records == {}
        journal.write("c", value("c"))
    (line,) = lines
    assert line.startswith(f"ERROR the store's file {path} is {left}, but {path}-wal beside it")
    (aside,) = tmp_path.glob("store.db.damaged-*")
    assert aside.read_bytes() == beside
    assert str(aside) in line
    assert set(held(path)) == {"c"}
    path.write_bytes(before)
    aside.rename(path.with_name("store.db-wal"))
    assert set(held(path)) == {"a", "b"}
    assert len(lines) == 1


# ------------------------------------------------------------------------ ends


def test_close_waits_so_long(tmp_path: Path, lines: list[str]) -> None:
    """It says how many keys are not written, and may be called again."""
    path = tmp_path / "store.db"
    busy, go_on = threading.Event(), threading.Event()

    def on_written(ticket: int, error: StoreError | None) -> None:
        busy.set()
        assert go_on.wait(DEADLINE)

    journal = Journal(path, on_written, list)
    journal.open()
    try:
        journal.write("a", value("a"))
        assert busy.wait(DEADLINE)
        for i in range(10):
            journal.write(f"key {i % 3}", value(f"key {i % 3}", b"%d" % i))
        assert journal.close(0.05) is False
    finally:
        go_on.set()
        assert journal.close(DEADLINE) is True
    (line,) = lines
    assert line.startswith("ERROR")
    assert "left with 3 keys not written: it took over 0.05 s" in line
    assert journal.close(0) is True
    with pytest.raises(StoreError, match=r"key 'b': not kept, .*store\.db is closed"):
        journal.write("b", value("b"))
    assert {key: record.data for key, record in held(path).items()} == {
        "a": b"value",
        "key 0": b"9",
        "key 1": b"7",
        "key 2": b"8",
    }


def test_never_opened(tmp_path: Path) -> None:
    """Nothing was done, so there is nothing to close."""
    assert Journal(tmp_path / "store.db", lambda ticket, error: None, list).close(0) is True
    assert os.listdir(tmp_path) == []


def test_importing_it_does_not_import_sqlite(tmp_path: Path, environment: dict[str, str]) -> None:
    """Who keeps nothing pays nothing, and an interpreter without SQLite serves."""
    code = "import sys, liteyuki_core.comm.store.journal; print('sqlite3' in sys.modules)"
    assert python(code, tmp_path, environment).stdout.strip() == "False"


@pytest.mark.skipif(sys.platform != "linux", reason="counts the thread's waits as Linux does")
def test_nothing_wakes_while_idle(tmp_path: Path) -> None:
    """Once all is written, the thread is not run until there is more."""
    with opened(tmp_path / "store.db") as (journal, told, _):
        told.wait(journal.write("a", value("a")))
        (thread,) = (t for t in threading.enumerate() if t.name == "liteyuki-journal")
        status = Path(f"/proc/self/task/{thread.native_id}/status")
        seen: list[list[str]] = []

        def quiet() -> bool:
            seen.append([x for x in status.read_text().splitlines() if "ctxt_switches" in x])
            return len(seen) > 200 and all(one == seen[-1] for one in seen[-200:])

        wait_until(quiet, "two seconds without a wake-up")
        assert len(seen[-1]) == 2
        told.wait(journal.write("b", value("b")))
        assert quiet() is False


@unix
def test_a_forked_copy_leaves_the_file_alone(tmp_path: Path, environment: dict[str, str]) -> None:
    """Also when it ends as a program ends, with everything it has taken down."""
    path = tmp_path / "store.db"
    with using(tmp_path, environment, "journals_on_unix:forked", path) as user:
        assert user.wait() == -9, user.output
    assert user.found("^all written$"), user.output
    assert user.found("^refused key 'b'"), user.output
    assert user.found("^closed True$"), user.output
    assert held(path) == {"a": value("a"), "c": value("c")}


@a_little(8, 30)
def test_killed_at_any_moment(tmp_path: Path, environment: dict[str, str], times: int) -> None:
    """What is there is all up to some change, none torn, and everything confirmed is in it."""
    path = tmp_path / "store.db"
    state: dict[str, bytes] = {}
    most = 0
    for run in range(times):
        with using(tmp_path, environment, "journals:changes", path, run) as user:
            wanted = random.choice((0, 1, 2, random.randrange(40)))
            user.wait_until(lambda: len(user.lines) >= wanted, f"{wanted} batches confirmed")  # noqa: B023
            user.process.kill()
        confirmed = int(user.lines[-1].split()[0]) if user.lines else 0
        assert all(line.endswith(" confirmed") for line in user.lines), user.output
        most = max(most, confirmed)
        found = {key: record.data for key, record in held(path).items()}
        number = 0
        while number < confirmed or state != found:
            number += 1
            assert number < confirmed + 1000, f"run {run}: not the state after any change"
            key, data = change(run, number)
            if data is None:
                state.pop(key, None)
            else:
                state[key] = data
    assert most > 3 * times
    assert not list(tmp_path.glob("*damaged*"))

"""What systemd is told, on a real socket, of a real bot."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.conftest import DEADLINE
from tests.program import Program, running_program, unix

pytestmark = unix

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has abstract names")
Running = Callable[..., AbstractContextManager[Program]]


class Service:
    """The end of the socket that systemd has. It owns the socket."""

    def __init__(self, address: str) -> None:
        assert sys.platform != "win32"
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(DEADLINE)
        self._socket.bind(address.replace("@", "\0"))

    def next(self) -> list[str]:
        """Return the lines of the next datagram."""
        return self._socket.recv(4096).decode().split("\n")

    def until(self, line: str) -> list[str]:
        """Return all lines up to one, with it."""
        lines: list[str] = []
        while line not in lines:
            lines += self.next()
        return lines

    def waiting(self) -> list[str]:
        """Return all lines that are there already."""
        lines: list[str] = []
        self._socket.setblocking(False)
        try:
            while True:
                lines += self.next()
        except BlockingIOError:
            return lines
        finally:
            self._socket.settimeout(DEADLINE)

    def fill(self) -> None:
        """Have it take nothing more, as long as nobody reads."""
        assert sys.platform != "win32"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.setblocking(False)
            other.connect(self.address.replace("@", "\0"))
            try:
                while True:
                    other.send(b"FULL=1")
            except BlockingIOError:
                pass

    def close(self) -> None:
        """Close it."""
        self._socket.close()


@pytest.fixture(
    params=["a path", pytest.param("an abstract name", marks=[linux, pytest.mark.long])]
)
def service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service's socket."""
    name = f"liteyuki-{os.getpid()}-{time.monotonic_ns()}"
    found = Service(str(tmp_path / "notify") if request.param == "a path" else f"@{name}")
    yield found
    found.close()


@pytest.fixture
def bot(tmp_path: Path, environment: dict[str, str], service: Service) -> Running:
    """Return a context in which the bot of that service runs."""

    def run(*arguments: str, **more: str) -> AbstractContextManager[Program]:
        of = {"NOTIFY_SOCKET": service.address, **more}
        return running_program(tmp_path, environment, "notifying", *arguments, **of)

    return run


def test_ready_when_all_run(bot: Running, service: Service, tmp_path: Path) -> None:
    """One that has done its work is not waited for; a stop is told."""
    with bot() as program:
        program.wait_for_line("imported True")
        before = service.until("STATUS=0 of 2 processes run (slow starting, job starting)")
        before += service.until("STATUS=0 of 2 processes run (slow starting, job stopped)")
        assert "READY=1" not in before
        (tmp_path / "go").touch()
        assert service.next() == ["READY=1", "STATUS=1 of 2 processes run (job stopped)"]
        program.interrupt()
        lines = service.until("STOPPING=1")
        assert "READY=1" not in lines
        assert "WATCHDOG=1" not in lines
        assert program.wait() == 0


def test_a_failure_is_told(bot: Running, service: Service, tmp_path: Path) -> None:
    """After it was ready, and not as another start."""
    (tmp_path / "go").touch()
    with bot("fail") as program:
        service.until("READY=1")
        (tmp_path / "act").touch()
        lines = service.until("STATUS=0 of 2 processes run (slow failed, job stopped)")
        assert "READY=1" not in lines
        assert program.stop() == 0


def test_never_ready_with_one_that_failed(bot: Running, service: Service, tmp_path: Path) -> None:
    """systemd gives it up when its time is over."""
    (tmp_path / "die").touch()
    with bot() as program:
        lines = service.until("STATUS=0 of 2 processes run (slow failed, job stopped)")
        program.interrupt()
        lines += service.until("STOPPING=1")
        assert "READY=1" not in lines
        assert program.wait() == 0


def test_a_restart_is_no_stop(bot: Running, service: Service, tmp_path: Path) -> None:
    """systemd hears that it begins anew, and then that it is ready again."""
    (tmp_path / "go").touch()
    with bot("restart") as program:
        service.until("READY=1")
        (tmp_path / "act").touch()
        lines = service.until("RELOADING=1")
        lines += service.until("READY=1")
        assert "STOPPING=1" not in lines
        (microseconds,) = [int(x[15:]) for x in lines if x.startswith("MONOTONIC_USEC=")]
        assert 0 < time.monotonic_ns() / 1000 - microseconds < 60e6
        assert program.stop() == 0


def test_the_watchdog_is_fed_by_the_loop(bot: Running, service: Service, tmp_path: Path) -> None:
    """Twice in the time that it has; not while the loop is blocked."""
    (tmp_path / "go").touch()
    with bot("block", WATCHDOG_USEC="400000") as program:
        service.until("READY=1")
        times = [time.monotonic()]
        while len(times) < 8:
            service.until("WATCHDOG=1")
            times.append(time.monotonic())
        assert 1.0 < times[-1] - times[1] < 10
        (tmp_path / "act").touch()
        program.wait_for_line("^blocks$")
        service.waiting()
        program.wait_for_line("^blocked$")
        assert service.waiting().count("WATCHDOG=1") < 5  # Else it would be ten in that time.
        service.until("WATCHDOG=1")
        assert program.stop() == 0


def test_the_watchdog_of_another_process(bot: Running, service: Service, tmp_path: Path) -> None:
    """It is not fed."""
    (tmp_path / "go").touch()
    with bot(WATCHDOG_USEC="1000", WATCHDOG_PID="1") as program:
        service.until("READY=1")
        program.interrupt()
        assert "WATCHDOG=1" not in service.until("STOPPING=1")
        assert program.wait() == 0


@pytest.mark.parametrize("address", ["/no/such/socket", "vsock:2:1234", "@"])
def test_an_address_that_is_none(tmp_path: Path, environment: dict[str, str], address: str) -> None:
    """One line says it, and the bot runs."""
    (tmp_path / "go").touch()
    with running_program(
        tmp_path, environment, "notifying", NOTIFY_SOCKET=address, WATCHDOG_USEC="10000"
    ) as program:
        program.wait_for_line("process slow is ready")
        assert program.stop() == 0
        assert len(program.found("systemd is not told how the bot is")) == 1


def test_a_service_that_goes_away(bot: Running, service: Service, tmp_path: Path) -> None:
    """One line says it, and the bot runs on."""
    (tmp_path / "go").touch()
    with bot(WATCHDOG_USEC="20000") as program:
        service.until("READY=1")
        service.close()
        program.wait_for_line("systemd is not told how the bot is")
        assert program.stop() == 0
        assert len(program.found("systemd is not told how the bot is")) == 1


def test_a_service_that_does_not_read(bot: Running, service: Service, tmp_path: Path) -> None:
    """The bot does not wait for it, and says again that it is ready."""
    with bot() as program:
        program.wait_for_line("imported True")
        service.fill()
        (tmp_path / "go").touch()
        program.wait_for_line("process slow is ready")
        service.until("READY=1")
        assert program.stop() == 0


def test_who_is_no_service_pays_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    """Nothing of it is imported."""
    (tmp_path / "go").touch()
    with running_program(tmp_path, environment, "notifying", NOTIFY_SOCKET="") as program:
        program.wait_for_line("imported False")
        assert program.stop() == 0

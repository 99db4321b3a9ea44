"""What every test shares: waiting with a deadline, and a guard that nothing is left behind."""

from __future__ import annotations

import compileall
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest_plugins = ["tests.fixtures"]

ROOT = Path(__file__).resolve().parent.parent
DEADLINE = 20.0
LONGEST = (
    "tests/docs/test_site.py",
    "tests/laws/test_properties.py",
    "tests/process/test_kills_at_lines.py",
    "tests/gateway/test_soak.py",
    "tests/cluster/test_requests.py",
    "tests/compat/test_v6_packages.py",
    "tests/test_soak.py",
    "tests/process/test_chaos.py",
    "tests/control/test_fuzz.py",
    "tests/web/test_fuzz.py",
    "tests/process/test_hostile.py",
    "tests/test_benchmark.py",
    "tests/process/test_requests.py",
    "tests/gateway/test_kept.py",
    "tests/process/test_restarts_in_hand.py",
    "tests/test_install.py",
    "tests/cli/test_init.py",
    "tests/cluster/test_servers.py",
)
"""Files with tests that take long: whoever began one of them last would be waited for."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Have two more at work than there are processors: tests wait for most of their time."""
    return (os.cpu_count() or 1) + 2


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer what takes long: more seeds, more kills, longer waits."""
    parser.addoption("--long", action="store_true", help="run also what takes long")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for; and begin with what takes longest."""
    if not config.getoption("--long"):
        left_out = [item for item in items if item.get_closest_marker("long")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]
    items[:] = _in_order(items, int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1)))


def _in_order(items: list[pytest.Item], workers: int) -> list[pytest.Item]:
    """Return tests so that each worker, which is given as many of them in a row, begins with its
    share of the files of LONGEST.
    """
    shares: list[list[pytest.Item]] = [[] for _ in range(workers)]
    others = dict.fromkeys(items)
    for place, file in enumerate(LONGEST):
        for item in items:
            if item.nodeid.startswith(f"{file}::"):
                shares[place % workers].append(item)
                del others[item]
    rest, found = list(others), []
    for number, share in enumerate(shares, 1):
        found += share
        room = max(0, len(items) * number // workers - len(found))
        found += rest[:room]
        del rest[:room]
    return found + rest


def pytest_configure(config: pytest.Config) -> None:
    """Have programs under test interruptible, which a shell's background job is not, and quick."""
    config.addinivalue_line("markers", "long: takes long; run with --long alone")
    config.addinivalue_line("markers", "every_transport: of the few that run over all transports")
    config.addinivalue_line("markers", "one_hub: not between nodes, where the docs say otherwise")
    os.environ["LITEYUKI_LOG_LANG"] = "en"  # What tests log themselves, too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        # Where Python writes no bytecode, each of the thousand processes would compile all of it.
        for folder in ("liteyuki_core", "nonebot_plugin_liteyuki_comm", "tests/children"):
            compileall.compile_dir(ROOT / folder, quiet=2)


def a_little(few: Any, many: Any) -> pytest.MarkDecorator:
    """Repeat a test a little, and with --long in full: `times` is `few`, then also `many`."""
    return pytest.mark.parametrize("times", [few, pytest.param(many, marks=pytest.mark.long)])


def in_full(*values: Any) -> list[Any]:
    """Return parameters for --long alone: what differs in them is tested in other ways too."""
    return [pytest.param(value, marks=pytest.mark.long) for value in values]


def wait_until(condition: Callable[[], Any], what: str = "", timeout: float = DEADLINE) -> Any:
    """Return the first true value of `condition`; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout:g} s: {what or condition}")
        time.sleep(0.01)


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _descendants(but: Set[int]) -> list[int]:
    """Return the processes that this one has started, and those that they have.

    Without some, and what these have started.
    """
    found: list[int] = []
    parents = [os.getpid()]
    while parents:
        some = [pid for pid in _started_by(parents.pop()) if pid not in but]
        found += some
        parents += some
    return found


def _started_by(parent: int) -> list[int]:
    found: list[int] = []
    if not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        with suppress(psutil.Error):
            found += [process.pid for process in psutil.Process(parent).children()]
        return found
    # Much quicker than to ask each process of the machine for its parent.
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(pid) for pid in children.read_text().split()]
    return found


def _children(before: Set[int] = frozenset()) -> set[int]:
    """Return what runs, without what ran `before` and what that has started: a browser for several
    tests begins and ends processes of its own at any time.
    """
    found = set()
    for pid in _descendants(before):
        try:
            # multiprocessing keeps one process that tracks resources for as long as we live.
            if not any("resource_tracker" in word for word in psutil.Process(pid).cmdline()):
                found.add(pid)
        except psutil.Error:
            pass
    return found


def _threads() -> set[threading.Thread]:
    return {t for t in threading.enumerate() if t.name.startswith("liteyuki")}


def _descriptors() -> int:
    """Return how many are open, without the one of multiprocessing's resource tracker.

    Whichever test needs it first opens it, and it stays for as long as this process.
    """
    if sys.platform == "win32":
        return 0
    tracker: Any = resource_tracker
    return psutil.Process().num_fds() - (tracker._resource_tracker._fd is not None)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Fail a test that leaves a process, a thread of ours or a file descriptor behind."""
    with nothing_left():
        yield


@contextmanager
def nothing_left(timeout: float = DEADLINE) -> Iterator[None]:
    """Fail if a process, a thread of ours or a file descriptor is left behind for so long."""
    processes, threads, descriptors = _children(), _threads(), _descriptors()
    yield
    wait_until(lambda: not _children(processes), "all processes ended", timeout)
    wait_until(
        lambda: not _threads() - threads, f"all threads ended: {_threads() - threads}", timeout
    )
    wait_until(
        lambda: _descriptors() <= descriptors,
        f"descriptors: {descriptors} before, {_descriptors()} after",
        timeout,
    )


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment for a program; see `plain_environment`."""
    return plain_environment()


def plain_environment() -> dict[str, str]:
    """Return the environment for a program: this project importable, nothing configured.

    Only its log is in English, which is what tests look for.
    """
    kept = {k: v for k, v in os.environ.items() if not k.startswith("LITEYUKI_")}
    for name in ("HOST", "PORT", "DRIVER", "ENVIRONMENT", "ONEBOT_ACCESS_TOKEN"):
        kept.pop(name, None)
    for name in ("FORCE_COLOR", "NO_COLOR", "PYCHARM_HOSTED"):
        kept.pop(name, None)
    kept["LITEYUKI_LOG_LANG"] = "en"
    kept["PYTHONUNBUFFERED"] = "1"
    kept["PYTHONUTF8"] = "1"
    return kept

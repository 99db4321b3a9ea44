"""The pytest plugin: three fixtures. Each imports what it needs when a test uses it.

`liteyuki_app` runs a LiteyukiBot in the test's process, on a thread of its own, with real children.
`liteyuki_host` makes the test's process a child of a main process, for the whole session, so that
plugins can be loaded into NoneBot; `liteyuki_peer` is that main process as one test sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .app import App
    from .peer import Peer


@pytest.fixture
def liteyuki_app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[App]:
    """A LiteyukiBot with real children, in a folder and on a port of its own.

    At the end it is stopped. The test fails if a process, a thread or a file descriptor is left.
    """
    from .app import running_app

    by_name = request.config.getoption("importmode", "prepend") != "importlib"
    with running_app(tmp_path, request.config.rootpath, by_name=by_name) as app:
        yield app


@pytest.fixture(scope="session")
def liteyuki_host() -> Iterator[Peer]:
    """A main process whose child "nonebot" is this process, until the session ends.

    What loads plugins into NoneBot depends on it: they find their channels at their import.
    """
    from .peer import hosting_peer

    with hosting_peer("nonebot") as peer:
        yield peer


@pytest.fixture
def liteyuki_peer(liteyuki_host: Peer) -> Iterator[Peer]:
    """The main process of `liteyuki_host`, which has received nothing and answers nothing yet."""
    with liteyuki_host.fresh():
        yield liteyuki_host

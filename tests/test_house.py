"""The house: what imports what, what an import starts, what the front door offers."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import pytest

import liteyuki_core
from liteyuki_core import comm, errors
from tests.conftest import ROOT
from tests.program import python

CORE = ROOT / "liteyuki_core"

ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "files": set(),
    "log": set(),
    "writer": {"errors", "files", "log"},
    "comm.wire.frames": {"errors"},
    "comm.current": {"errors"},
    "comm.wire.decoder": {"errors", "comm.wire.frames"},
    "comm.wire.slots": {"errors", "comm.wire.frames"},
    "comm.wire": set(),
    "comm.loop": set(),
    "comm.ends": set(),
    "comm.store": set(),
    "comm.hub": set(),
    "comm.loop.wakes": set(),
    "comm.wire.reader": {"comm.loop.wakes"},
    "comm.wire.link": {
        "errors",
        "comm.wire.frames",
        "comm.wire.decoder",
        "comm.wire.reader",
        "comm.wire.slots",
        "comm.loop.wakes",
    },
    "comm.loop.receiver": set(),
    "comm.loop.worker": {"comm.loop.receiver"},
    "comm.loop.runner": {"errors", "log", "comm.loop.receiver", "comm.loop.wakes"},
    "comm.loop.dispatch": {"log", "comm.loop.runner", "comm.loop.wakes", "comm.loop.worker"},
    "comm.loop.waiter": {"comm.loop.wakes"},
    "comm.ends.end": {
        "errors",
        "log",
        "comm.wire.frames",
        "comm.loop.receiver",
        "comm.loop.runner",
        "comm.loop.waiter",
    },
    "comm.ends.schema": set(),
    "comm.ends.typed": {"errors", "comm.ends.schema"},
    "comm.channel": {
        "errors",
        "comm.current",
        "comm.loop.runner",
        "comm.ends.end",
        "comm.wire.frames",
        "comm.loop.receiver",
        "comm.ends.typed",
    },
    "comm.context": {
        "errors",
        "log",
        "comm.wire.frames",
        "comm.wire.link",
        "comm.ends.end",
        "comm.loop.dispatch",
        "comm.loop.wakes",
        "comm.store.access",
        "comm.store.copies",
        "comm.loop.receiver",
    },
    "comm.hub.link_peer": {
        "errors",
        "comm.channel",
        "comm.wire.frames",
        "comm.wire.link",
        "comm.context",
        "comm.loop.wakes",
    },
    "comm.hub.route": {"errors", "comm.wire.frames"},
    "comm.hub.letters": {"errors", "comm.wire.frames"},
    "comm.hub.hub": {
        "errors",
        "log",
        "comm.wire.frames",
        "comm.wire.link",
        "comm.context",
        "comm.hub.link_peer",
        "comm.hub.route",
        "comm.hub.letters",
        "comm.store.cells",
        "comm.store.expiry",
        "comm.store.table",
    },
    "comm.store.value": {"errors", "comm.wire.frames"},
    "comm.store.cells": set(),
    "comm.store.copies": {"comm.store.cells", "comm.wire.frames", "comm.store.value"},
    "comm.store.expiry": set(),
    "comm.store.journal": {"errors", "files", "log"},
    "comm.store.table": {
        "errors",
        "comm.store.cells",
        "comm.store.expiry",
        "comm.wire.frames",
        "comm.store.journal",
        "comm.store.value",
    },
    "comm.store.listener": {"log", "comm.wire.frames", "comm.store.value", "comm.loop.waiter"},
    "comm.store.access": {
        "errors",
        "comm.store.copies",
        "comm.wire.frames",
        "comm.store.listener",
        "comm.loop.waiter",
    },
    "comm.storage": {
        "errors",
        "comm.store.access",
        "comm.channel",
        "comm.store.copies",
        "comm.current",
        "comm.wire.frames",
        "comm.store.listener",
        "comm.store.lock",
        "comm.loop.runner",
        "comm.store.value",
    },
    "comm.store.lock": {"errors", "comm.store.access"},
    "comm.registry": {"errors", "comm.channel", "comm.current", "comm.ends.end"},
    "comm.select": {
        "errors",
        "comm.channel",
        "comm.ends.end",
        "comm.loop.receiver",
        "comm.loop.waiter",
    },
    "comm": {"comm.channel", "comm.registry", "comm.select", "comm.storage"},
    "config": {"errors", "log", "comm.wire.frames"},
    "process.child": {
        "errors",
        "log",
        "comm.store.cells",
        "comm.store.copies",
        "comm.current",
        "comm.context",
        "comm.wire.link",
        "comm.loop.receiver",
        "comm.loop.waiter",
        "process.group",
        "process.output",
        "process.pulse",
        "process.listening",
        "process.loaded",
        "process.report",
        "process.request",
    },
    "process.ending": set(),
    "process.group": {"log"},
    "process.output": {"log"},
    "process.health": {"errors", "log", "comm.hub.link_peer", "process.report"},
    "process.pulse": {"comm.loop.dispatch", "process.report"},
    "process.report": {"comm.wire.slots"},
    "process.listening": {"errors", "comm.current", "comm.wire.link"},
    "process.loaded": set(),
    "process.request": {"comm.current"},
    "process.lock": {"errors", "files", "log"},
    "process.restart": set(),
    "process.state": set(),
    "hooks": {"log", "comm.loop.worker"},
    "process.life": {
        "errors",
        "log",
        "comm.hub.hub",
        "comm.wire.link",
        "comm.hub.link_peer",
        "process.child",
        "process.group",
        "process.listening",
        "process.output",
        "process.report",
        "writer",
    },
    "process.stopping": {"log", "process.life"},
    "process.supervisor": {
        "errors",
        "hooks",
        "log",
        "comm.channel",
        "comm.hub.hub",
        "comm.wire.link",
        "process.child",
        "process.ending",
        "process.output",
        "process.report",
        "process.health",
        "process.life",
        "process.listening",
        "process.restart",
        "process.state",
        "process.stopping",
        "writer",
    },
    "process.reload": {
        "errors",
        "log",
        "comm.loop.worker",
        "process.loaded",
        "process.state",
        "process.supervisor",
    },
    "process": {"process.request", "process.restart", "process.state"},
    "bot": {
        "errors",
        "log",
        "config",
        "comm.current",
        "comm.context",
        "comm.hub.hub",
        "comm.hub.letters",
        "hooks",
        "process.health",
        "process.lock",
        "process.reload",
        "process.restart",
        "process.state",
        "process.supervisor",
        "writer",
    },
    "frameworks": set(),
    "frameworks.nonebot": {
        "errors",
        "log",
        "comm.current",
        "comm.channel",
        "comm.loop.runner",
        "comm.loop.worker",
        "frameworks.uvicorn",
        "process.request",
        "process.loaded",
    },
    "frameworks.uvicorn": {"process.listening"},
    "": {"errors", "bot", "comm", "log"},
}
"""Which room may import which, from the pure ones up to those that compose them."""


def room(path: Path) -> str:
    """Return the dotted name of a file inside the core."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Return the rooms of the core that a file imports, those for type checking left out."""
    package = room(path).split(".") if path.name == "__init__.py" else room(path).split(".")[:-1]
    package = [part for part in package if part]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    typing_only = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.unparse(block.test)
        for node in ast.walk(block)
    }
    rooms = {room(other) for other in CORE.rglob("*.py")}
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level or node in typing_only:
            continue
        base = package[: len(package) - node.level + 1]
        base += node.module.split(".") if node.module else []
        for alias in node.names:
            inner = ".".join([*base, alias.name])
            found.add(inner if inner in rooms else ".".join(base))
    return found


@pytest.mark.parametrize("path", sorted(CORE.rglob("*.py")), ids=room)
def test_imports_run_one_way(path: Path) -> None:
    """Each file imports only rooms below its own."""
    name = room(path)
    assert imports(path) <= ARROWS[name]


def test_the_arrows_have_no_circle() -> None:
    """Whoever follows the arrows comes to an end."""

    def depth(name: str, seen: tuple[str, ...]) -> int:
        assert name not in seen
        return 1 + max((depth(below, (*seen, name)) for below in ARROWS[name]), default=0)

    assert depth("", ()) > 3


REBUILDS = {
    "comm.store.value: pickle.loads": "values of the store, for the callers below alone",
    "comm.wire.frames: pickle.loads": "messages, for the callers below alone",
    "comm.wire.frames: pickle.Unpickler": "those that carry channels, likewise",
    "comm.wire.frames: payload.rebuild": "a long message, in `load` above",
    "comm.ends.end: pickle.loads": "who receives from a channel asked for it",
    "comm.ends.end: frames.load": "the same, of a long message",
    "comm.ends.end: frames.load_linked": "the same, of one that carries channels",
    "comm.channel: end.rebuild": "`receive` in its forms",
    "comm.select: end.rebuild": "`select` and `async_select`",
    "comm.loop.runner: self._source.loads": "a callback that this process has registered",
    "comm.loop.runner: self._source.load": "the same",
    "comm.hub.letters: frames.load": "`DeadLetter.load`, which only users call",
    "comm.hub.letters: frames.load_linked": "the same",
    "comm.storage: value.rebuild": "`get` and its like, in the process that calls it",
    "comm.storage: value.load": "what this process has serialised, and sums, which are numbers",
    "comm.store.listener: value.rebuild": "a watch or subscription of this process",
    "comm.store.copies: values.load": "a child's copies of what it has read",
    "process.child: pickle.loads": "in a child: the call that the main process gave it",
}
"""Where bytes become objects, and why no child can run code in the main process there: that one
rebuilds what its own code asks for, by a receive, a callback, a get or a watch, and no more."""

_REBUILDING = {"load", "loads", "load_linked", "rebuild", "Unpickler", "find_class"}
_HARMLESS = {"tomllib.load", "json.loads", "Settings.load", "self.load", "self._rebuild"}
_UNSAFE = {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle"}


def rebuilds(module: str) -> set[str]:
    """Return the places of a module where bytes become objects."""
    found = set()
    for node in ast.walk(ast.parse((CORE / f"{module.replace('.', '/')}.py").read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in _REBUILDING:
            text = ast.unparse(node)
            if text not in _HARMLESS and "_LinkUnpickler" not in text:
                found.add(f"{module}: {text}")
        elif isinstance(node, ast.Import):
            found |= {f"{module}: {x.name}" for x in node.names if x.name in _UNSAFE - {"pickle"}}
            found |= {
                f"{module}: {x.asname}" for x in node.names if x.name == "pickle" and x.asname
            }
        elif isinstance(node, ast.ImportFrom) and node.module:
            last = node.module.rpartition(".")[2]
            if last in _UNSAFE or any(x.name in _REBUILDING for x in node.names):
                found.add(f"{module}: from {node.module} import ...")
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in (
            "eval",
            "exec",
            "__import__",
        ):
            found.add(f"{module}: {ast.unparse(node.func)}")
    return found


def test_where_bytes_become_objects() -> None:
    """Nowhere but where it is said here why that may be."""
    modules = [".".join(p.relative_to(CORE).with_suffix("").parts) for p in CORE.rglob("*.py")]
    assert set().union(*map(rebuilds, modules)) == set(REBUILDS)


def test_importing_starts_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    """No thread, socket, loop, log set-up or third-party package by importing; no nonebot ever."""
    result = python(
        """
        import sys, threading, multiprocessing
        import liteyuki_core
        assert not {"asyncio", "loguru", "pydantic", "nonebot"} & set(sys.modules), sys.modules
        import liteyuki_core.comm, liteyuki_core.bot, liteyuki_core.log, liteyuki_core.process
        import liteyuki_core.frameworks.nonebot, liteyuki_core.comm.hub.hub, liteyuki_core.config
        assert "nonebot" not in sys.modules
        assert "loguru" not in sys.modules
        assert threading.enumerate() == [threading.main_thread()]
        assert multiprocessing.get_start_method(allow_none=True) is None
        try:
            import psutil
        except ImportError:
            pass
        else:
            kinds = [c for c in psutil.Process().net_connections(kind="all")]
            assert not kinds, kinds
        print("nothing started")
        """,
        tmp_path,
        environment,
    )
    assert result.stdout.strip() == "nothing started", result.stdout


@pytest.mark.parametrize("name", liteyuki_core.__all__)
def test_the_front_door(name: str) -> None:
    """Every name it lists is there."""
    assert getattr(liteyuki_core, name) is not None


def test_public_names() -> None:
    """What the documentation names can be imported from where it says."""
    assert {"LiteyukiBot", "get_bot", "Channel", "get_channel", "logger"} < set(
        liteyuki_core.__all__
    )
    assert set(errors.__all__) <= set(liteyuki_core.__all__)
    for name in comm.__all__:
        assert getattr(comm, name) is not None
    with pytest.raises(AttributeError):
        liteyuki_core.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_survive_pickle(name: str) -> None:
    """Every error has the one root and comes back from pickle as it was."""
    kind = getattr(errors, name)
    assert issubclass(kind, errors.LiteyukiError)
    about = issubclass(kind, errors.ChannelError | errors.ProcessError)
    error = kind("what happened", "who") if about else kind("what happened")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error) == "what happened"
    if issubclass(kind, errors.ChannelError):
        assert back.channel == "who"
    if issubclass(kind, errors.ProcessError):
        assert back.process == "who"


@pytest.mark.parametrize(
    ("name", "parent"),
    [
        ("ChannelBroken", ConnectionError),
        ("ChannelTimeout", TimeoutError),
        ("ChannelExists", ValueError),
        ("ChannelNotFound", KeyError),
        ("ChannelTypeError", TypeError),
        ("SendError", TypeError),
        ("MessageTooLarge", ValueError),
        ("WouldBlockLoop", RuntimeError),
        ("NotConnected", RuntimeError),
        ("ProcessExists", ValueError),
        ("ProcessNotFound", KeyError),
    ],
)
def test_errors_have_the_parents_one_expects(name: str, parent: type[Exception]) -> None:
    """`except TimeoutError` and the like work."""
    assert issubclass(getattr(errors, name), parent)

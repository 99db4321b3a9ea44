"""The house: what imports what, what an import starts, what the front door offers."""

from __future__ import annotations

import ast
import pickle
import re
from functools import cache
from pathlib import Path

import pytest

import liteyuki_core
from liteyuki_core import comm, errors, plugin, session
from tests import laws
from tests.conftest import LONGEST, ROOT
from tests.program import python

CORE = ROOT / "liteyuki_core"

FLOORS: list[set[str]] = [
    {"chinese", "record"},
    {"language"},
    {"errors", "files", "log", "methods", "redaction", "ring", "units", "unread", "version"},
    {"names", "pyproject"},
    {"writer"},
    {"comm.loop"},
    {"comm.wire"},
    {"comm.ends", "comm.store"},
    {"comm.context"},
    {"comm.current"},
    {"comm.channel"},
    {"comm.queue", "comm.registry", "comm.select", "comm.storage", "comm.link_port", "comm.hub"},
    {"comm.hub.main", "comm.workers"},
    {"comm"},
    {"config", "hooks", "replacement", "stop"},
    {"signals"},
    {"process"},
    {"gateway"},
    {"accounts", "frameworks", "plugin", "systemd"},
    {"alerts", "cluster", "gateway.server", "session"},
    {"bot"},
    {"control", "testing"},
    {"cli", "compat", "web"},
    {""},
]
"""The rooms from the lowest floor up. A room is a file, or a folder with all that has no room of
its own. It imports what is below it, and files of a folder import each other; nothing else."""


def module_of(path: Path) -> str:
    """Return the dotted name of a file inside the core."""
    parts = path.relative_to(CORE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(CORE.rglob("*.py"))}


def imports(module: str) -> set[str]:
    """Return the modules of the core that one imports, in its functions and for types too."""
    path = FILES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    package = [part for part in package if part]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = package[: len(package) - node.level + 1]
        base += node.module.split(".") if node.module else []
        for alias in node.names:
            inner = ".".join([*base, alias.name])
            found.add(inner if inner in FILES else ".".join(base))
    return found - {module}


@cache
def arrows() -> set[tuple[str, str]]:
    """Return who imports whom."""
    return {(module, other) for module in FILES for other in imports(module)}


def room_of(module: str) -> str:
    """Return the room that a module belongs to."""
    rooms = {room for floor in FLOORS for room in floor}
    while module not in rooms:
        module = module.rpartition(".")[0]
    return module


def floor_of(module: str) -> int:
    """Return how high the room of a module is."""
    room = room_of(module)
    return next(height for height, floor in enumerate(FLOORS) if room in floor)


def leads_up(arrow: tuple[str, str]) -> bool:
    """Return whether an import leads to a room that is not below."""
    module, other = arrow
    return room_of(module) != room_of(other) and floor_of(module) <= floor_of(other)


def is_in_circle(arrow: tuple[str, str], among: set[tuple[str, str]]) -> bool:
    """Return whether the imports lead from what is imported back to who imports it."""
    seen: set[str] = set()
    ahead = [arrow[1]]
    while ahead:
        module = ahead.pop()
        if module == arrow[0]:
            return True
        if module not in seen:
            seen.add(module)
            ahead += [other for start, other in among if start == module]
    return False


def test_every_file_has_a_room() -> None:
    """None is on the top floor only because it was forgotten, and no room is empty."""
    rooms = {room for floor in FLOORS for room in floor}
    assert {room_of(module) for module in FILES} == rooms
    assert [module for module in FILES if not room_of(module)] == [""]
    assert {m for m in FILES if room_of(m) == "comm"} == {"comm"}


def test_imports_run_one_way() -> None:
    """Each file imports its own room and those below it."""
    assert {arrow for arrow in arrows() if leads_up(arrow)} == set()


def test_imports_have_no_circle() -> None:
    """Whoever follows the imports from a file never comes back to it."""
    assert {arrow for arrow in arrows() if is_in_circle(arrow, arrows())} == set()


def test_what_runs_in_a_child_knows_no_main_process() -> None:
    """Of `process` the child's folder imports, besides itself, what both sides share."""
    shared = {f"process.{name}" for name in ("group", "report", "sources", "spec")}
    found = {
        other
        for module, other in arrows()
        if module.startswith("process.child.") and other.startswith("process.")
    }
    assert {other for other in found if not other.startswith("process.child.")} <= shared


def test_the_hub_knows_no_links() -> None:
    """What it imports, and what that imports, has no connection, no process and no store."""
    found, ahead = set(), ["comm.hub.hub"]
    while ahead:
        module = ahead.pop()
        if module not in found:
            found.add(module)
            ahead += [other for start, other in arrows() if start == module]
    assert {module for module in found if room_of(module) == "comm.hub"} == {
        f"comm.hub.{name}"
        for name in (
            *("calls", "hub", "letters", "notes", "peeks"),
            *("reminder", "requests", "route", "side", "table"),
        )
    }
    assert not {"comm.context", "comm.wire.link", "comm.wire.endpoint", "comm.store.table"} & found


REBUILDS = {
    "comm.store.value: pickle.loads": "values of the store, for the callers below alone",
    "comm.wire.payload: pickle.loads": "messages, for the callers below alone",
    "comm.wire.payload: pickle.Unpickler": "those that carry channels, likewise",
    "comm.wire.payload: payload.rebuild": "a long message, in `load` above",
    "comm.ends.inbox: pickle.loads": "who receives from a channel, or answers, asked for it",
    "comm.ends.end: self.receiving.load": "a request, for an `on_request` callback",
    "comm.channel: end.receiving.load_answer": "an answer, for whoever has asked",
    "comm.ends.crossing: super().load": "of an end that may cross nodes: what has no type",
    "comm.ends.crossing: model.load": "likewise: plain data, as an object of the channel's type",
    "comm.wire.models: _model(kind).load": "the same, from a process of this node",
    "comm.ends.receiving: from wire.payload import ...": "the same, of all others",
    "comm.channel: receiving.rebuild": "`receive` in its forms",
    "comm.select: end.rebuild": "`select` and `async_select`",
    "comm.loop.runner: self._source.loads": "a callback that this process has registered",
    "comm.loop.runner: self._source.load": "the same",
    "comm.hub.letters: from wire.payload import ...": "`DeadLetter.load`, which only users call",
    "comm.store.operations: value.rebuild": "`get` and its like, in the process that calls it",
    "comm.store.operations: value.load": "what this process has serialised, and sums of numbers",
    "comm.store.listener: value.rebuild": "a watch or subscription of this process",
    "comm.store.copies: values.load": "a child's copies of what it has read",
    "comm.store.copies: values.rebuild": "a child's `get`, of what it has read from a slot",
    "comm.workers: end.receiving.load": "the result of a call, for whoever has called",
    "comm.workers: pickle.loads": "what the function has raised, likewise",
    "process.child.worker: source.load": "in a worker: a call, which it is there for",
    "control.plain: pickle.Unpickler": "plain data that an operator looks at: it finds no class",
    "control.plain: _Plain(io.BytesIO(data)).load": "the same",
    "compat.launch: exec": "the program that `liteyuki run --v6` is to run",
    "process.spec: from comm.wire.payload import ...": "in a child: the call that main gave it",
}
"""Where bytes become objects, and why no child can run code in the main process there: that one
rebuilds what its own code asks for, by a receive, a callback, a get or a watch, and no more."""

_REBUILDING = {"load", "loads", "load_answer", "load_linked", "rebuild", "Unpickler", "find_class"}
_HARMLESS = {
    "tomllib.load",
    "json.loads",
    "Settings.load",
    "server.config.load",
    "self.load",
    "self._rebuild",
}
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
        import liteyuki_core.frameworks.nonebot, liteyuki_core.comm.hub.main, liteyuki_core.config
        import liteyuki_core.plugin, liteyuki_core.session
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
    names = {"LiteyukiBot", "get_bot", "Channel", "get_channel", "logger", "shared_memory"}
    assert names | {"load_plugin", "load_plugins", "require"} < set(liteyuki_core.__all__)
    assert set(errors.__all__) <= set(liteyuki_core.__all__)
    for room in (comm, plugin, session):
        for name in room.__all__:
            assert getattr(room, name) is not None
    with pytest.raises(AttributeError):
        liteyuki_core.no_such_name  # noqa: B018


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_survive_pickle(name: str) -> None:
    """Every error has the one root and comes back from pickle as it was."""
    kind = getattr(errors, name)
    assert issubclass(kind, errors.LiteyukiError)
    about = issubclass(
        kind,
        errors.BotNotConnected
        | errors.ChannelError
        | errors.NodeError
        | errors.PluginError
        | errors.ProcessError,
    )
    error = kind("what happened", "who") if about else kind("what happened")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert str(back) == str(error) == "what happened"
    if issubclass(kind, errors.ChannelError):
        assert back.channel == "who"
    if issubclass(kind, errors.BotNotConnected):
        assert back.bot == "who"
    if issubclass(kind, errors.NodeError):
        assert back.node == "who"
    if issubclass(kind, errors.PluginError):
        assert back.plugin == "who"
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
        ("BotNotConnected", ConnectionError),
        ("PromptTimeout", TimeoutError),
        ("NodeNotFound", KeyError),
        ("NodeGone", ConnectionError),
        ("NodeTimeout", TimeoutError),
        ("NotConnected", RuntimeError),
        ("PluginExists", ValueError),
        ("PluginNotFound", ModuleNotFoundError),
        ("PluginFailed", ImportError),
        ("PluginCycle", ImportError),
        ("ProcessExists", ValueError),
        ("ProcessNotFound", KeyError),
        ("ProcessTimeout", TimeoutError),
    ],
)
def test_errors_have_the_parents_one_expects(name: str, parent: type[Exception]) -> None:
    """`except TimeoutError` and the like work."""
    assert issubclass(getattr(errors, name), parent)


# ------------------------------------------------------------- the tests

TESTS = ROOT / "tests"
TEST_FILES = {
    path.relative_to(TESTS).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(TESTS.rglob("test_*.py"))
}


def said_to_be_tested(test_file: str) -> list[str]:
    """Return the files of the core that a test file says at its top that it tests."""
    top = ast.get_docstring(ast.parse(TEST_FILES[test_file])) or ""
    return [
        name
        for said in re.findall(r"^Tests .*?(?:\n\n|\Z)", top, re.MULTILINE | re.DOTALL)
        for name in re.findall(r"[\w/]+\.py", said)
    ]


LAWS = re.findall(r"[\w/]+\.py", laws.__doc__ or "")


def test_every_file_has_its_test() -> None:
    """One of the same place and name, or one that says at its top that it tests this file."""
    said = {name for test_file in TEST_FILES for name in said_to_be_tested(test_file)}
    of_its_name = {name.replace("test_", "") for name in TEST_FILES}
    files = {path.relative_to(CORE).as_posix() for path in FILES.values()}
    with_code = {name for name in files if not name.endswith("__init__.py")} - {"errors.py"}
    assert with_code - said - of_its_name == set()
    assert said - files == set(), "a file that has got another name has got it there too"


def test_the_files_to_begin_with_are_there() -> None:
    """Those with the longest tests."""
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []


def test_no_test_file_imports_another() -> None:
    """What they share is in files of other names."""
    imports = re.compile(r"^\s*(?:from|import) +tests\S*\.test_.*", re.MULTILINE)
    assert [(name, found) for name, t in TEST_FILES.items() for found in imports.findall(t)] == []


@pytest.mark.parametrize("name", [name for name in TEST_FILES if name.startswith("laws/test_")])
def test_the_file_of_a_law_says_which(name: str) -> None:
    """By its number, at its top. `tests/laws` lists them all."""
    law = re.match(r"laws/test_([cqrs])(\d\d)_", name)
    if law is not None:
        kind, number = law.groups()
        of = {"c": "channels", "q": "queues", "r": "requests", "s": "the store"}[kind]
        assert TEST_FILES[name].startswith(f'"""Law {kind.upper()}{int(number)} of {of}: ')
    assert name in LAWS


def test_the_list_of_laws_names_what_is_there() -> None:
    """Each file in it is a test file."""
    assert [name for name in LAWS if name not in TEST_FILES] == []

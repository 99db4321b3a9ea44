"""What a process of a child is told before it runs: its name, its target, its connections to main.

The main process makes a `ChildSpec` and packs the call. The child unpacks it on its main thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple

from .. import log
from ..comm.store.cells import Cells
from ..comm.wire.endpoint import Endpoint
from ..comm.wire.payload import Linked, dump_linked, load_linked
from .child.output import WriteEnd
from .child.script import run_file
from .report import Report


class ChildSpec(NamedTuple):
    """All that a process of a child is told.

    `call` is a pickle, so that the process imports nothing of it before it is connected.
    """

    name: str
    target: str
    call: bytes
    endpoint: Endpoint
    output: WriteEnd
    listening: Endpoint | None
    report: Report | None
    log: log.LogConfig
    max_message_bytes: int
    crosses: bool
    """Whether its channels may have ends on other nodes of a cluster."""
    cells: Cells | None
    store_cache_bytes: int
    keeps_store: bool
    stop_timeout: float
    waits: bool
    """Whether it is not its turn yet: it loads what it is to run, and waits."""
    imports: tuple[str, ...] | None
    """What a spare process imports before its turn; it loads nothing else. None: it is no spare."""
    replica: int | None
    """Which replica of the child it runs, None if there are none. LITEYUKI_REPLICA is this."""


Call = tuple[Callable[..., Any] | str, tuple[Any, ...], dict[str, Any]]
"""A target and its arguments."""


def pack_call(
    target: Callable[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    link: Callable[[Any], tuple[str, Any] | None],
) -> Linked:
    """Return the target and its arguments as a pickle. Raises what pickling raises.

    The arguments may have channels in them; `link` describes these, see `dump_linked`.
    """
    return dump_linked((target, args, kwargs), link)


def unpack_call(call: bytes, find: Callable[[str, Any], Any]) -> Call:
    """Return the target and its arguments. May raise anything.

    `find` makes a channel of what `link` gave.
    """
    return load_linked(Linked(call), find)  # type: ignore[no-any-return]


def is_file(target: object) -> bool:
    """Return whether a target is the path of a Python file."""
    return isinstance(target, str) and target.endswith((".py", ".pyw"))


def name_of_target(target: Callable[..., Any] | str) -> str:
    """Return how a target is named where it is imported: "pkg.mod:func", or the path of a file."""
    if isinstance(target, str):
        return target
    module = getattr(target, "__module__", None)
    return f"{module}:{getattr(target, '__qualname__', repr(target))}"


def load_target(target: Callable[..., Any] | str) -> Callable[..., Any]:
    """Return the callable that `"pkg.mod:func"` names, or that runs a file.

    Raises what the import raises, `AttributeError` or `TypeError`.
    """
    if not isinstance(target, str):
        return target
    if is_file(target):
        return partial(run_file, target)
    module, _, path = target.partition(":")
    found: Any = import_module(module)
    for name in path.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise TypeError(f"{target} is a {type(found).__name__}, not a callable")
    return found  # type: ignore[no-any-return]

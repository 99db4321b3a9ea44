"""v6's managers of processes: LiteyukiBot's children under v6's names.

In a child, which may import the main process's files again, adding does nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from croterline.context import Context

from liteyuki_core import bot as core_bot
from liteyuki_core.errors import ProcessNotFound
from liteyuki_core.frameworks import nonebot
from liteyuki_core.language import say
from liteyuki_core.process import ChildProcess

from ..comm.channel import get_channel
from ..log import logger
from ..utils import IS_MAIN_PROCESS

__all__ = ["ProcessManager", "sub_process_manager"]

_NONEBOT = f"{nonebot.__name__}:{nonebot.run_function.__name__}"


class Process:
    """A child as v6's code looks at one."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def _child(self) -> ChildProcess:
        return core_bot.get_bot().processes[self.name]

    @property
    def pid(self) -> int | None:
        """The process id, None where no process lives."""
        return self._child.pid

    @property
    def exitcode(self) -> int | None:
        """The exit code of the last process."""
        return self._child.exitcode

    @property
    def ctx(self) -> Context:
        """The two channels of the child, as croterline names them."""
        return Context(get_channel(f"{self.name}-passive"), get_channel(f"{self.name}-active"))

    def is_alive(self) -> bool:
        """Return whether a process of this child lives."""
        return self._child.pid is not None

    def start(self) -> None:
        """Start it. Returns at once."""
        core_bot.get_bot().start_process(self.name)

    def terminate(self) -> None:
        """Stop it. Returns at once."""
        core_bot.get_bot().stop_process(self.name)

    kill = terminate

    def join(self, timeout: float | None = None) -> None:
        """Do nothing: whoever stops a child need not wait for it."""


class _Processes(Mapping[str, Process]):
    """The processes that one manager has added."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self._names = names

    def __getitem__(self, name: str) -> Process:
        if name not in self._names:
            raise KeyError(name)
        return Process(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _add(
    name: str, target: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Add a child. One whose module imports NoneBot runs NoneBot as our launcher has it."""
    bot = core_bot.get_bot()
    function = target
    while isinstance(function, partial):
        function = function.func
    file = getattr(sys.modules.get(getattr(function, "__module__", "")), "__file__", None)
    if file is not None and nonebot.imports_nonebot(file):
        bot.add_process(name, _NONEBOT, (target, *args), kwargs)
    else:
        bot.add_process(name, target, args, kwargs)


class ProcessManager:
    """v6's first manager."""

    def __init__(self, lifespan: Any = None) -> None:
        self.lifespan = lifespan
        self.targets: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {}
        self.processes: Mapping[str, Process] = _Processes(self.targets)

    def add_target(
        self,
        name: str,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Add a child process. It starts with the bot, or at once if that runs."""
        if not IS_MAIN_PROCESS:
            return
        call = target, tuple(args), dict(kwargs or {})
        _add(name, *call)
        self.targets[name] = call

    def start(self, name: str) -> None:
        """Start a child that does not run. Returns at once."""
        self._known(name).start()

    def start_all(self) -> None:
        """Start those that do not run. Before the bot runs this does nothing: it starts them."""
        for process in self.processes.values():
            if not process.is_alive():
                process.start()

    def terminate(self, name: str) -> None:
        """Stop a child. Returns at once."""
        if name not in self.targets:
            logger.warning(say("there is no process {name}", name=name))
            return
        self.processes[name].terminate()

    def terminate_all(self) -> None:
        """Stop all children of this manager. Returns at once."""
        for name in self.targets:
            self.terminate(name)

    def join_all(self) -> None:
        """Do nothing: the bot waits for its children when it stops."""

    def is_process_alive(self, name: str) -> bool:
        """Return whether a process of this child lives. Raises `ProcessNotFound`, a `KeyError`."""
        return self._known(name).is_alive()

    def _known(self, name: str) -> Process:
        if name not in self.targets:
            known = ", ".join(sorted(self.targets)) or "none"
            raise ProcessNotFound(f"no process is named {name!r} (there are: {known})", name)
        return self.processes[name]


class _SubProcessManager(ProcessManager):
    """v6's second manager: what its children send on `get_ctx().sub_chan` is noted."""

    def add(self, name: str, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Add a child process that calls `func(*args, **kwargs)`.

        A `Context` of croterline as the first argument is left out: the child has its own.
        """
        if not IS_MAIN_PROCESS:
            return
        if args and isinstance(args[0], Context):
            args = args[1:]
        self.add_target(name, func, args, kwargs)
        get_channel(f"{name}-active").on_receive()(_received)

    def get_process(self, name: str) -> Process | None:
        """Return a child, or None."""
        return self.processes.get(name)


async def _received(data: Any) -> None:
    from ..session.event import MessageEvent
    from ..session.on import dispatch

    if isinstance(data, MessageEvent):
        await dispatch(data)
    else:
        logger.debug(f"from a child: {data!r:.400}")


sub_process_manager = _SubProcessManager()
"""The children that plugins of v6.3.10 and later add."""

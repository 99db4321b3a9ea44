"""The entry of a child process.

multiprocessing calls `main` in the new process. `main` connects first and only then imports the
user's code, so that channels can be used at import. The target runs on the main thread. When it
returns, everything it sent is flushed and the process ends. The link's reader handles what the
main process says.

Ownership. `main` makes this process's context with its port and closes it at the end.

A Ctrl+C in the terminal does not reach children: the main process decides how they stop, see
`leaving.py`.
"""

from __future__ import annotations

import atexit
import inspect
import os
import signal
import sys

from ... import log
from ...comm import current
from ...comm.context import Context
from ...comm.link_port import LinkPort
from ...comm.loop import receiver
from ...comm.store.access import Access
from ...comm.store.copies import Copies
from ...comm.wire import words
from ...errors import ChannelClosed, ChannelError, ChannelNotFound, LiteyukiError
from ...language import Phrase, say
from .. import sources
from ..group import leave_with_group
from ..spec import ChildSpec, load_target, unpack_call
from .leaving import INTERRUPTED, Leaving
from .pulse import Pulse
from .request import will_call_ready
from .sockets import use_way
from .spare import imported, preload
from .turn import Turn, loaded, use_turn, will_call_loaded

_CONNECT_SECONDS = 10.0
_CRASH_SECONDS = 5.0
"""A process that ends with an error may take so long to hand over what it has sent."""


def main(spec: ChildSpec) -> None:
    """Run one child process. Called by multiprocessing in the new process, nowhere else."""
    _leave_terminal()
    spec.output.take_over(bool(spec.log.colour))
    log.configure(spec.log)
    if spec.replica is not None:
        os.environ["LITEYUKI_REPLICA"] = str(spec.replica)
    leaving = Leaving(spec.name, spec.output)
    turn = Turn(spec.waits)
    context = Context(
        spec.name,
        max_message_bytes=spec.max_message_bytes,
        own_loop=True,
    )
    context.crosses = spec.crosses
    leaving.context = context

    def on_word(word: words.ToProcess) -> None:
        match word:
            case words.Stop(seconds):
                leaving.stop(seconds)
            case words.AskPulse(at, stack, quietly):
                pulse.answer(at, stack, quietly)
            case words.AskLoaded(request, paths):
                had, near = sources.compare(paths)
                port.word(words.Loaded(request, had, near))
            case words.AskImported():
                port.word(words.Imported(imported()))
            case words.YourTurn():
                port.word(words.TakesTurn())
                turn.come()

    context.dispatcher.on_exit = leaving.leave
    port = LinkPort(context, spec.endpoint, on_word=on_word, on_lost=leaving.lost)
    copies = Copies(spec.cells, spec.store_cache_bytes)
    access = Access(*(context.site, port, copies), keeps=spec.keeps_store, crosses=spec.crosses)
    context.connect(port, access)
    pulse = Pulse(context.dispatcher, port.word, spec.report)
    current.install(context)
    context.stop.target.add(receiver.of_thread())
    use_way(spec.listening)
    use_turn(turn)
    code: int | str | None = 1
    handled = False
    try:
        port.start(_CONNECT_SECONDS)
        for kind in ("active", "passive"):
            try:
                context.get(f"{spec.name}-{kind}")
            except ChannelNotFound:
                pass  # Somebody has closed it. If the target uses it, it gets an error.
        leaving.begin()
        try:
            if spec.imports is not None:
                preload(spec.imports)
                turn.wait()
            code = _run(spec, context, pulse)
            handled = not code
        finally:
            leaving.end()
    except KeyboardInterrupt:
        code = 0 if leaving.asked else 1 if leaving.orphaned else INTERRUPTED
    except ChannelError as error:
        if (leaving.asked or leaving.exit) and isinstance(error, ChannelClosed):
            code = 0
        elif not leaving.orphaned:
            context.stop.crashed = True
            log.logger.opt(exception=error).error(_raised(spec))
    except SystemExit as error:
        code = error.code
        handled = not code
        context.stop.crashed = bool(code)
    except LiteyukiError as error:
        log.logger.error(say("process {name}: {error}", name=spec.name, error=error))
    except Exception as error:
        context.stop.crashed = True
        log.logger.opt(exception=error).error(_raised(spec))
    code = leaving.code(code)
    orphaned = leaving.orphaned
    if not code or leaving.asked:
        port.word(words.Clean())
    seconds = leaving.remaining if leaving.asked else _CRASH_SECONDS if code else spec.stop_timeout
    try:
        context.close(seconds, handled=handled and not leaving.broke_off)
    except KeyboardInterrupt:
        pass  # Interrupted while it closes: it ends anyway.
    if orphaned:
        atexit.register(leave_with_group)
    if spec.listening is not None:
        spec.listening.close()
    sys.exit(leaving.code(code))


def _raised(spec: ChildSpec) -> Phrase:
    return Phrase("process {name}: {target} raised", name=spec.name, target=spec.target)


def _run(spec: ChildSpec, context: Context, pulse: Pulse) -> int:
    port = context.port
    try:
        target, args, kwargs = unpack_call(spec.call, context.find)
        function = load_target(target)
    except Exception as error:
        if isinstance(error.__cause__, KeyboardInterrupt):
            # Up to Python 3.11 whatever is raised in a `__set_name__` becomes a RuntimeError.
            raise error.__cause__ from None
        port.word(words.Failed(f"{spec.target} can't be imported: {error!r}"))
        log.logger.opt(exception=error).error(
            say("process {name}: {target} can't be imported", name=spec.name, target=spec.target)
        )
        return 1
    if not will_call_loaded(function):
        loaded()
    if not will_call_ready(function):
        port.word(words.Ready(False, []))
    result = function(*args, **kwargs)
    if inspect.iscoroutine(result):
        import asyncio

        async def run() -> None:
            context.stop.target.add(receiver.of_thread())
            await pulse.watched(result)

        asyncio.run(run())
    return 0


def _leave_terminal() -> None:
    """Keep the terminal's Ctrl+C from this process. SIGINT was blocked until now."""
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetConsoleCtrlHandler(None, True)
        return
    try:
        os.setpgid(0, 0)
    except OSError:
        pass  # This process leads a session already.
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Drops a SIGINT that came meanwhile.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    # Also if the main process was started with SIGINT ignored: `Leaving` interrupts by SIGINT.
    signal.signal(signal.SIGINT, signal.default_int_handler)

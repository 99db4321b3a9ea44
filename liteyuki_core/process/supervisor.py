"""All children of the main process: when each is started and stopped, and where its words go.

Ownership. The supervisor owns the courses, one for each child, the questions that children have
not answered yet, and the tasks that it and the courses run. A course decides about its own child.
The supervisor does what concerns several children: it starts them one after another, calls the
hooks before a stop, stops all children by one deadline, and passes on the words of each child.

Threads. LiteyukiBot's loop calls everything, except where a method says otherwise.

Invariant: after `stop_all` was called, no child is started again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from .. import log
from ..comm.channel import check_name
from ..comm.context import Context
from ..comm.hub.main import Main
from ..comm.wire import words
from ..comm.wire.payload import Linked
from ..errors import FrameError, ProcessExists, ProcessNotFound, ProcessStartError
from ..hooks import Hooks
from ..language import say
from ..writer import Writer
from . import stopping
from .course import Course, Services
from .health import Hang, Health
from .life import Life
from .planned import Planned
from .pool import Pool
from .program.course import ProgramCourse
from .program.spec import Program
from .rolling import Rolling
from .spec import is_file, name_of_target, pack_call
from .starting import Starting
from .state import ChildProcess, ProcessState
from .task import Tasks
from .terms import Terms, waves

_WHY_CHARACTERS = 1000
"""At most so many characters of a child's text go into the log."""

_EARLY = (words.WaitsForTurn, words.Failed, words.Loaded)
"""What a process may say about itself before its turn."""

_WORKER = f"{__package__}.child.worker:serve"
"""The target of every worker."""


class Supervisor:
    """Starts and stops the children.

    The loop calls `on_broken` with an error in the supervisor's own code, or in the hub's, and
    `on_all_failed` when every child has FAILED.
    """

    def __init__(
        self,
        main: Main,
        log_config: log.LogConfig,
        writer: Writer,
        hooks: Hooks,
        on_broken: Callable[[BaseException], None],
        on_all_failed: Callable[[], None],
        *,
        store_cache_bytes: int,
        stop_timeout: float,
        hang_timeout: float,
        fork: bool,
        spare: bool,
    ) -> None:
        self._hub = main.hub
        self._context = main.context
        self._writer = writer
        self._hooks = hooks
        self._tasks = Tasks(on_broken)
        self._stop_timeout = stop_timeout
        self._health = Health(hang_timeout)
        self._processes = Starting(fork)
        self.children: dict[str, ChildProcess] = {}
        """The public view of each child, by name. Any thread may read it."""
        self._courses: dict[str, Course] = {}
        self._services = Services(
            main=main,
            log_config=log_config,
            writer=writer,
            hooks=hooks,
            health=self._health,
            tasks=self._tasks,
            processes=self._processes,
            store_cache_bytes=store_cache_bytes,
            stop_timeout=stop_timeout,
            spare=spare,
            may_start=lambda: not self._stopping,
            until_running=self._until_running,
            on_failed=self._failed,
            on_word=self._word,
        )
        self._on_all_failed = on_all_failed
        self.on_accounts: Callable[[str, list[words.Account]], object] | None = None
        """Is called on the loop with a child's name and its accounts that have changed."""
        self._rolling: dict[str, Rolling] = {}
        """By child: how its replicas are restarted, if it has any."""
        self._stopping = False
        self._planned = Planned(self._tasks, main.context.dispatcher.threads, self.restart)
        self._questions: dict[int, tuple[Course, asyncio.Future[words.Loaded]]] = {}
        self._asked = 0

    def add(
        self,
        names: list[str],
        target: Callable[..., Any] | str,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        terms: Terms,
        hang: Hang,
        pool: Pool | None = None,
    ) -> None:
        """Add a child and its replicas, and make their channels. From any thread.

        With a `pool` it is a worker. Raises what `LiteyukiBot.add_process` raises.
        """
        for each in names:
            self._check_new(each)
        name = names[0]
        if isinstance(target, str):
            module, colon, path = target.partition(":")
            if not (module and colon and path) and not is_file(target):
                raise ProcessStartError(
                    f"process {name}: target {target!r} must look like 'package.module:function', "
                    "or be the path of a Python file",
                    name,
                )
        elif not callable(target):
            raise ProcessStartError(
                f"process {name}: target must be a callable or 'package.module:function', not "
                f"{type(target).__name__}",
                name,
            )
        text = name_of_target(target)
        call = _packed(name, text, target, args, kwargs, self._context)
        rolling = Rolling(self._tasks, self._restart_now) if len(names) > 1 else None
        with self._hub.lock:
            for key in call.carried():
                self._context.hold(key)  # For ever: each process of the child is given it.
        for number, each in enumerate(names):
            self._hub.add_process(each)
            self._writer.add_process(each)
            replica = None if rolling is None else number
            child = ChildProcess(each, text)
            self._take_in(Course(child, call, terms, hang, self._services, pool, replica))
            if rolling is not None:
                self._rolling[each] = rolling

    def add_program(self, program: Program, terms: Terms) -> None:
        """Add a program, which has no channels. From any thread.

        Raises what `LiteyukiBot.add_program` raises.
        """
        self._check_new(program.name)
        others = [c.name for c in self.courses if isinstance(c, ProgramCourse) and c.has_terminal]
        if program.terminal and others:
            raise ProcessStartError(
                f"process {program.name}: terminal=True is for one program, and {others[0]} has "
                "the terminal",
                program.name,
            )
        self._writer.add_process(program.name)
        child = ChildProcess(program.name, program.title)
        self._take_in(ProgramCourse(child, program, terms, self._services))

    def _check_new(self, name: str) -> None:
        check_name(name)
        if name in self.children:
            raise ProcessExists(
                f"a process named {name!r} was added already; take another name", name
            )

    def _take_in(self, course: Course) -> None:
        self._courses[course.name] = course
        self.children[course.name] = course.child

    def add_workers(
        self,
        name: str,
        count: int,
        initializer: Callable[[], Any] | str | None,
        concurrency: int,
        max_calls: int | None,
        nodes_may_call: tuple[str, ...],
        terms: Terms,
    ) -> list[str]:
        """Add workers with their queue; return their names. From any thread.

        Raises what `LiteyukiBot.add_workers` raises for names and the initializer.
        """
        names = [f"{name}-{number}" for number in range(1, count + 1)]
        for each in names:
            self._check_new(each)
        args = (name, initializer, concurrency, max_calls, nodes_may_call)
        _packed(names[0], str(initializer), _WORKER, args, {}, self._context)
        pool = Pool(name, self._hub)
        for each in names:
            # A worker is busy for as long as a call takes, so it is not watched for that.
            self.add([each], _WORKER, args, {}, terms, Hang(0.0, "warn"), pool)
        return names

    @property
    def courses(self) -> list[Course]:
        """The courses of all children."""
        return list(self._courses.values())

    def get(self, name: str) -> Course:
        """Return the course of a child. From any thread. Raises `ProcessNotFound`."""
        try:
            return self._courses[name]
        except KeyError:
            known = ", ".join(sorted(self.children)) or "none"
            raise ProcessNotFound(
                f"no process is named {name!r} (there are: {known})", name
            ) from None

    # ------------------------------------------------------------- commands

    async def start_all(self) -> None:
        """Start every child that was not started yet.

        Those of one fork server are started one after another: it may take long to begin.
        """
        kinds: dict[str, list[Course]] = {}
        for course in self.courses:
            kinds.setdefault(self._processes.framework_of(course.child.target), []).append(course)
        await asyncio.gather(*(self._start_in_turn(kind) for kind in kinds.values()))

    async def _start_in_turn(self, courses: list[Course]) -> None:
        for course in courses:
            if course.child.started_at is None:
                self.start(course)
            if not course.terms.depends_on:  # Else it may take long, and the others need not wait.
                await course.until_started()

    async def _until_running(self, name: str, others: tuple[str, ...]) -> None:
        """Wait until all others are RUNNING. Raises `ProcessStartError` if one has ended."""
        for other in others:
            if self.children[other].state is not ProcessState.RUNNING:
                log.logger.info(
                    say(
                        "process {name} waits for process {other}, on which it depends",
                        name=name,
                        other=other,
                    )
                )
            try:
                await self.get(other).wait_ready(None)
            except ProcessStartError as error:
                raise ProcessStartError(f"it depends on {other}, and {error}", name) from None

    def start(self, course: Course) -> None:
        """Start a child if it has no process. If it is stopping, start it when it has stopped."""
        if self._stopping:
            return
        self._hub.process_comes(course.name)
        self._planned.add(course)
        course.start()

    def restart(self, course: Course, *, load_first: bool = False) -> None:
        """Stop a child if it has a process, and start it again.

        With `load_first` a process that is ready goes on until its successor has loaded. A replica
        waits for the restart of another one.
        """
        rolling = self._rolling.get(course.name)
        if rolling is None:
            self._restart_now(course, load_first)
        else:
            rolling.restart(course, load_first)

    def _restart_now(self, course: Course, load_first: bool) -> None:
        if self._stopping or (load_first and course.load_successor()):
            return
        course.drop_successor()
        self._restart(course)

    def _restart(self, course: Course) -> None:
        self._hub.process_comes(course.name)
        self._planned.add(course)
        if course.restart():
            self._stop_soon(course)

    def stop(self, course: Course) -> None:
        """Stop a child. It is not started again by itself."""
        if (rolling := self._rolling.get(course.name)) is not None:
            rolling.forget(course)
        if course.stop():
            self._stop_soon(course)

    def _failed(self) -> None:
        children = self.children.values()
        if not self._stopping and all(child.state is ProcessState.FAILED for child in children):
            self._on_all_failed()

    def observe_memory(self, observe: Callable[[str, int], object]) -> None:
        """Have `observe` called with each child that is restarted for its memory, and its limit."""
        self._planned.observe = observe

    # ------------------------------------------------------------- questions

    async def ask_loaded(
        self, course: Course, paths: list[str], timeout: float
    ) -> words.Loaded | None:
        """Ask a child which files it has loaded. Return its answer, or None if none comes."""
        life = course.newest
        if not isinstance(life, Life):
            return None
        self._asked += 1
        number = self._asked
        answer: asyncio.Future[words.Loaded] = asyncio.get_running_loop().create_future()
        self._questions[number] = course, answer
        try:
            life.peer.say(words.AskLoaded(number, paths))
            return await asyncio.wait_for(answer, timeout)
        except asyncio.TimeoutError:
            return None
        finally:
            del self._questions[number]

    def _answered(self, course: Course, loaded: words.Loaded) -> None:
        asked, answer = self._questions.get(loaded.request, (None, None))
        if asked is course and answer is not None and not answer.done():
            answer.set_result(loaded)

    # ------------------------------------------------------------- words of children

    def _word(
        self, course: Course, life: Life, word: words.OfProcess
    ) -> Callable[[], object] | None:
        """Return the call that the loop is to make for a child's word, or None.

        On the thread that reads the child's link. Raises `FrameError` if the child may not say
        the word now, or has said too many.
        """
        if word == life.said_ready:
            return None  # The child has said it already.
        life.count_word()
        if course.is_early(life) and not isinstance(word, _EARLY):
            raise FrameError(f"control frame {word!r:.400} comes before its turn")
        match word:
            case words.Ready(called, lacks):
                life.said_ready = word
                return lambda: course.ready(life, called, lacks)
            case words.Failed(why):
                why = "".join(c if c.isprintable() else " " for c in why[:_WHY_CHARACTERS])
                return lambda: life.note_failure(why)
            case words.WaitsForTurn(lacks) if life.waits:
                return lambda: self._loaded(course, life, lacks)
            case words.Pulse() if (watch := course.watch) is not None:
                return (lambda: self._health.look(watch)) if watch.arrived(word) else None
            case words.Listen(host, port, backlog):
                return lambda: course.listen(host, port, backlog)
            case words.Restart(name):
                short = name and name[:_WHY_CHARACTERS]
                return lambda: self._restart_asked(course, short)
            case words.AskStop(name):
                short = name and name[:_WHY_CHARACTERS]
                return lambda: self._stop_asked(course, short)
            case words.Imported(modules) if self._services.spare:
                return lambda: course.make_spare(modules)
            case words.Loaded():
                return lambda: self._answered(course, word)
            case words.Accounts(accounts):
                return lambda: self._accounts_told(course, life, accounts)
            case _:
                raise FrameError(f"control frame {word!r:.400} is not known")

    def _loaded(self, course: Course, life: Life, lacks: list[str]) -> None:
        if not self._stopping and course.has_loaded(life, lacks):
            self._restart(course)

    def _restart_asked(self, course: Course, name: str | None) -> None:
        try:
            wanted = course if name is None else self.get(name)
        except ProcessNotFound as error:
            log.logger.error(
                say(
                    "process {name} has asked for a restart: {error}", name=course.name, error=error
                )
            )
            return
        if wanted is course and course.child.state is ProcessState.STOPPING:
            return  # Whoever stops it has said whether it is started again.
        log.logger.info(
            say(
                "process {name} has asked for a restart of {other}",
                name=course.name,
                other=wanted.name,
            )
        )
        self.restart(wanted)

    def _stop_asked(self, course: Course, name: str | None) -> None:
        try:
            wanted = course if name is None else self.get(name)
        except ProcessNotFound as error:
            log.logger.error(
                say("process {name} has asked for a stop: {error}", name=course.name, error=error)
            )
            return
        if wanted.child.state is ProcessState.STOPPING and wanted is course:
            return  # Whoever stops it has said whether it is started again.
        log.logger.info(
            say(
                "process {name} has asked for a stop of {other}",
                name=course.name,
                other=wanted.name,
            )
        )
        self.stop(wanted)

    def _accounts_told(self, course: Course, life: Life, accounts: list[words.Account]) -> None:
        if course.replica:
            return  # The child has told of them: all have the same ones.
        if course.life is life and self.on_accounts is not None:
            self.on_accounts(course.name, accounts)

    # ------------------------------------------------------------- stopping

    async def stop_all(self, deadline: float) -> None:
        """Stop every child by `deadline`. From now on no child is started."""
        self._stopping = True
        for course in self.courses:
            course.leave()
        self._processes.close()
        leaving = {c.name: c for c in self.courses if c.child.state is ProcessState.STOPPING}
        stops = waves({name: course.terms.depends_on for name, course in leaving.items()})
        for number, names in enumerate(stops):
            now = monotonic()
            share = max(0.0, deadline - now) / (len(stops) - number)
            await self._stop([leaving[name] for name in names], now + share)
        dropped = [asyncio.ensure_future(x.ended.wait()) for c in self.courses for x in c.leftover]
        if dropped:
            await asyncio.wait(dropped, timeout=max(0.0, deadline - monotonic()))

    def _stop_soon(self, course: Course) -> None:
        self._tasks.run(self._stop([course], monotonic() + self._stop_timeout))

    async def _stop(self, courses: list[Course], deadline: float) -> None:
        """Call the hooks, then stop children by `deadline`: ask, then terminate, then kill."""
        begun = monotonic()
        span = max(0.0, deadline - begun)
        starting = [task for task in (c.cancel_start() for c in courses) if task is not None]
        if starting:
            await asyncio.wait(starting, timeout=span)
        alive = {course: life for course in courses if (life := course.life) is not None}
        calls = {course.name: course.kinds_before_stop() for course in alive}
        await self._hooks.call_in_time(calls, begun + span * stopping.HOOK_SHARE - monotonic())
        for course in alive:
            course.stop_listening()
        await stopping.stop(alive.values(), begun, deadline)

    def kill_all(self) -> None:
        """Kill every child at once. From any thread, also in a signal handler."""
        for course in self.courses:
            course.kill()


def _packed(
    name: str,
    text: str,
    target: Callable[..., Any] | str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    context: Context,
) -> Linked:
    """Return a child's call as it is packed. `text` names the function of the user's in it."""
    try:
        return pack_call(target, tuple(args), dict(kwargs), context.link)
    except Exception as error:
        raise ProcessStartError(
            f"process {name}: the child could not import {text} or be given its arguments: "
            f"{error}; the target must be a function at the top of a module, and pickle must "
            "be able to carry the arguments",
            name,
        ) from error

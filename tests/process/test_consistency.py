"""The store as several processes see it at once: whatever one of them saw, some order explains.

The parties are main and its children, in each of them threads and tasks, so both doors. What they
do they write to files, a line before each call and one after it, so that what a killed process
did is known too; `tests/linear.py` judges.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import inf
from pathlib import Path

from tests.linear import Operation, check
from tests.process.test_kills import program, well
from tests.program import running

Environment = dict[str, str]

PARTIES = """
import itertools
import json
import re
from queue import Queue
from zlib import crc32

from liteyuki_core import StoreError, shared_memory

NAMES = ("a", "b", "c", "d")


def cell(key):
    # What tells a child whether its copy of a key is current; keys share them.
    return crc32(key.encode()) % 4096


def twin(key):
    \"\"\"Return another key that shares the cell of this one.\"\"\"
    return next(k for k in (f"{key}{n}" for n in itertools.count()) if cell(k) == cell(key))


def stay():
    for _ in active_channel:
        pass


async def done(*messages):
    # Children say how it went; one that raises ends, and so does its channel.
    for name, message in itertools.product(NAMES, messages or ("done",)):
        got = await get_channel(f"{name}-passive").async_receive(60)
        assert got == message, (name, got)


def together(*calls):
    \"\"\"Call functions in threads of their own; raise what one of them raised.\"\"\"
    errors = []

    def guarded(call):
        try:
            call()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def threads_and_tasks(thread, task, count=2):
    \"\"\"Run `count` threads and as many tasks to their end, beside each other.\"\"\"
    async def tasks():
        await asyncio.gather(*(task() for _ in range(count)))

    together(*[thread] * count, lambda: asyncio.run(tasks()))
"""

CALLERS = """
KEYS = ("n:a", twin("n:a"), "n:b", "n:c")
SPACE = shared_memory.namespace("n")
WHAT = ("get",) * 5 + (
    "set", "delete", "incr", "compare_and_set", "pop", "setdefault", "items"
)
CALLERS = itertools.count(1)


class Caller:
    \"\"\"One thread or task that does at random what can be done, and writes it down.\"\"\"

    def __init__(self):
        number = next(CALLERS)
        self.file = open(f"history/{os.getpid()}-{number}", "wb", buffering=0)
        # No two callers set the same.
        self.values = itertools.count(os.getpid() * 10**8 + number * 10**5)
        self.seen = {}

    def write(self, *line):
        self.file.write(json.dumps(line).encode() + b"\\n")

    def begin(self):
        what, key, new = random.choice(WHAT), random.choice(KEYS), next(self.values)
        arguments = {
            "set": (new,),
            "setdefault": (new,),
            "incr": (random.randint(1, 3),),
            "compare_and_set": (self.seen.get(key), new),
        }.get(what, ())
        started = time.monotonic()
        if what == "items":
            for each in KEYS:
                self.write("begin", started, each, "get", ())
        else:
            self.write("begin", started, key, what, arguments)
        return what, key, arguments

    def call(self, door, what, key, arguments):
        if what == "items":
            return getattr(shared_memory, door + what)("n:")
        if what == "incr" and random.random() < 0.5:
            (by,) = arguments
            what, arguments = "update", (lambda value: value + by, 0)
        elif what == "pop":
            arguments = (None,)
        if random.random() < 0.5:
            return getattr(shared_memory, door + what)(key, *arguments)
        return getattr(SPACE, door + what)(key[2:], *arguments)

    def end(self, what, key, result):
        ended = time.monotonic()
        if what == "items":
            found = dict(result)
            for each in KEYS:
                self.write("end", ended, each, found.get(each))
        else:
            self.write("end", ended, key, result)
        if what == "get":
            self.seen[key] = result

    def thread(self, calls):
        for _ in range(calls):
            what, key, arguments = self.begin()
            self.end(what, key, self.call("", what, key, arguments))

    async def task(self, calls):
        for _ in range(calls):
            what, key, arguments = self.begin()
            # Sync code on a loop's thread may use it too.
            if random.random() < 0.3:
                result = self.call("", what, key, arguments)
            else:
                result = await self.call("async_", what, key, arguments)
            self.end(what, key, result)


def party(calls, count):
    threads_and_tasks(
        lambda: Caller().thread(calls), lambda: Caller().task(calls), count
    )
    passive_channel.send(os.getpid())
    stay()
"""


def histories(folder: Path) -> Iterator[Operation]:
    """Yield what each caller wrote down; what has no end was under way when its process died."""
    for path in sorted((folder / "history").iterdir()):
        open_calls: dict[str, Operation] = {}
        for line in path.read_text().splitlines():
            kind, at, key, *rest = json.loads(line)
            if kind == "begin":
                what, arguments = rest
                call = Operation(path.name, at, inf, key, what, tuple(arguments))
                open_calls[key] = call
            else:
                (result,) = rest
                yield open_calls.pop(key)._replace(end=at, result=result)
        yield from open_calls.values()


def test_histories(tmp_path: Path, environment: Environment) -> None:
    """What 18 callers in 5 processes did at random with a few keys, some order explains."""
    program(
        tmp_path,
        PARTIES,
        CALLERS,
        """
CALLS = 250


async def act():
    await asyncio.gather(asyncio.to_thread(Caller().thread, CALLS), Caller().task(CALLS))
    for name in NAMES:
        await get_channel(f"{name}-passive").async_receive(60)


if __name__ == "__main__":
    os.mkdir("history")
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, party, (CALLS, 2), restart=RestartPolicy("never"))
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot)
    history = list(histories(tmp_path))
    assert len({call.process for call in history}) == 18
    assert len(history) >= 18 * 250
    assert all(call.end < inf for call in history)
    check(history)


def test_histories_with_kills(tmp_path: Path, environment: Environment) -> None:
    """The same while children are killed in the middle of what they do."""
    program(
        tmp_path,
        PARTIES,
        CALLERS,
        """
KILLS = 16


async def act():
    def written(pid):
        files = [f for f in os.scandir("history") if f.name.startswith(f"{pid}-")]
        return sum(f.stat().st_size for f in files)

    ended = set()
    for name in NAMES:
        get_channel(f"{name}-passive").on_receive()(ended.add)
    for turn in range(KILLS):
        process = bot.processes[random.choice(NAMES)]
        pid, more = process.last_pid, random.randint(1, 5000)
        start = written(pid)
        await until(lambda: written(pid) > start + more or pid in ended, f"progress {turn}")
        os.kill(pid, KILL)
        await until(lambda: process.pid not in (None, pid), f"a successor {turn}")
    await until(lambda: {bot.processes[n].last_pid for n in NAMES} <= ended, "all are done")


if __name__ == "__main__":
    os.mkdir("history")
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, party, (250, 1), restart=AGAIN)
    main(bot, act)
""",
    )
    with running(tmp_path, environment, LITEYUKI_MAX_REDELIVERIES="1000") as bot:
        well(bot)
    history = list(histories(tmp_path))
    assert any(call.end == inf for call in history), "nothing was under way in any kill"
    check(history)


def test_no_update_is_lost(tmp_path: Path, environment: Environment) -> None:
    """Whatever adds, adds: incr, compare_and_set and update, by both doors, of all at once."""
    program(
        tmp_path,
        PARTIES,
        """
COUNT = 50


def thread():
    for _ in range(COUNT):
        shared_memory.incr("incr")
        shared_memory.update("update", lambda value: value + 1, 0)
        value = shared_memory.get("cas")
        while not shared_memory.compare_and_set("cas", value, (value or 0) + 1):
            value = shared_memory.get("cas")


async def task():
    for _ in range(COUNT):
        await shared_memory.async_incr("incr")
        await shared_memory.async_update("update", lambda value: value + 1, 0)
        value = await shared_memory.async_get("cas")
        while not await shared_memory.async_compare_and_set("cas", value, (value or 0) + 1):
            value = await shared_memory.async_get("cas")


def adder():
    threads_and_tasks(thread, task)
    passive_channel.send("done")
    stay()


async def act():
    await asyncio.gather(asyncio.to_thread(thread), task())
    await done()
    total = COUNT * (4 * len(NAMES) + 2)
    added = shared_memory.get_all()
    assert added == dict.fromkeys(("incr", "update", "cas"), total), added


if __name__ == "__main__":
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, adder, restart=RestartPolicy("never"))
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot)


def test_a_lock_whose_holders_are_killed(tmp_path: Path, environment: Environment) -> None:
    """Never two are inside, and it is got again, whoever dies holding it or waiting for it.

    Each stay is two lines in one file. Where the second is missing its process is dead, and no
    line of that process follows. What is counted inside, without care, is counted right.
    """
    program(
        tmp_path,
        PARTIES,
        """
KILLS = 16
STAYS = itertools.count()


def write(*words):
    file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{' '.join(map(str, words))}\\n".encode())
    os.close(file)


def enough():
    return os.path.exists("enough")


def inside(mortal):
    number = next(STAYS)
    write("enter", os.getpid(), number)
    count = shared_memory.get("count", 0)
    time.sleep(random.choice((0, 0.001)))
    if mortal and random.random() < 0.1:
        write("stuck", os.getpid(), number)
        while not enough():
            time.sleep(0.01)
    shared_memory["count"] = count + 1
    write("leave", os.getpid(), number)


def thread(mortal=True):
    while not enough():
        with shared_memory.lock("door"):
            inside(mortal)


async def task(mortal=True):
    while not enough():
        async with shared_memory.lock("door"):
            inside(mortal)
        # A lock that nobody else has is got without waiting.
        await asyncio.sleep(0)


def holder():
    threads_and_tasks(thread, task, 1)
    passive_channel.send("done")
    stay()


async def act():
    mine = asyncio.gather(asyncio.to_thread(thread, False), task(False))
    killed = set()

    def stuck():
        with open("log", "rb") as log:
            log.seek(-min(100, os.path.getsize("log")), os.SEEK_END)
            last = re.search(rb"stuck (\\d+) \\d+\\n$", log.read())
        return int(last[1]) if last and int(last[1]) not in killed else 0

    async def kill(*pids):
        for pid in pids:
            os.kill(pid, KILL)
            killed.add(pid)
        await until(lambda: not killed & set(living()), f"successors of {pids}")

    def living():
        return [bot.processes[name].last_pid for name in NAMES]

    try:
        for turn in range(KILLS):
            await until(stuck, f"somebody else is inside, and stuck {turn}")
            # Of those that wait some die too, and before it.
            others = random.sample([pid for pid in living() if pid != stuck()], turn % 3)
            await kill(*others, stuck())
            if turn % 4 == 0:
                await kill(random.choice(living()))
    finally:
        open("enough", "w").close()
    await asyncio.wait_for(mine, 60)
    await done()
    say(f"counted {shared_memory['count']}")


if __name__ == "__main__":
    open("log", "w").close()
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, holder, restart=AGAIN)
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        bot.wait(120)
        # First who was inside: a program that found no way on says less.
        lines = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
        within: tuple[str, str] | None = None
        dead = set()
        for number, (word, pid, stay) in enumerate(lines, 1):
            if word == "enter":
                if within is not None:
                    dead.add(within[0])
                within = (pid, stay)
            assert pid not in dead, f"line {number}: {pid} was inside when another came in"
            assert within == (pid, stay), f"line {number}: {word} of {pid}, but {within} is inside"
            if word == "leave":
                within = None
        well(bot)
        assert len(dead) >= 16
        # Who died between counting and its second line had counted.
        left = sum(word == "leave" for word, _, _ in lines)
        (counted,) = bot.found(r"^counted (\d+)$")
        assert left <= int(counted[1]) <= left + len(dead)


def test_what_was_set_before_a_send(tmp_path: Path, environment: Environment) -> None:
    """Whoever got a message sees what was set before it was sent: from main, to main, between two.

    In a stream the sender has gone on meanwhile; in a game of give and take it has not.
    """
    program(
        tmp_path,
        PARTIES,
        """
STREAM, GAME = 1500, 300


class Side:
    \"\"\"One end of a channel; `mine` is the key that it sets, `theirs` the other's.\"\"\"

    def __init__(self, channel, mine, theirs, begins):
        self.channel, self.mine, self.theirs, self.begins = channel, mine, theirs, begins

    def expect(self, told, seen, fits):
        assert fits, f"{self.channel}: {told} was set and sent, and {self.theirs} is {seen}"

    def next_keys(self):
        # The other side may not yet have heard all of the stream.
        self.mine, self.theirs = f"{self.mine}, game", f"{self.theirs}, game"

    def sync(self):
        together(self.tell, self.hear)
        self.next_keys()
        for number in range(1, GAME):
            if self.begins:
                self.put(number)
                self.channel.send(number)
            told = self.channel.receive(60)
            seen = shared_memory.get(self.theirs)
            self.expect(told, seen, seen == (told if number % 3 else None))
            if not self.begins:
                self.put(number)
                self.channel.send(number)

    def put(self, number):
        if number % 3:
            shared_memory[self.mine] = number
        else:
            del shared_memory[self.mine]

    def tell(self):
        for number in range(1, STREAM):
            shared_memory[self.mine] = number
            self.channel.send(number)

    def hear(self):
        for number in range(1, STREAM):
            told = self.channel.receive(60)
            seen = shared_memory.get(self.theirs)
            self.expect(told, seen, told == number <= seen)

    async def other_door(self):
        await asyncio.gather(self.async_tell(), self.async_hear())
        self.next_keys()
        for number in range(1, GAME):
            if self.begins:
                await self.async_put(number)
                await self.channel.async_send(number)
            told = await self.channel.async_receive(60)
            seen = await shared_memory.async_get(self.theirs)
            self.expect(told, seen, seen == (told if number % 3 else None))
            if not self.begins:
                await self.async_put(number)
                await self.channel.async_send(number)

    async def async_put(self, number):
        if number % 3:
            await shared_memory.async_set(self.mine, number)
        else:
            await shared_memory.async_delete(self.mine)

    async def async_tell(self):
        for number in range(1, STREAM):
            await shared_memory.async_set(self.mine, number)
            await self.channel.async_send(number)

    async def async_hear(self):
        for number in range(1, STREAM):
            told = await self.channel.async_receive(60)
            seen = shared_memory.get(self.theirs)
            self.expect(told, seen, told == number <= seen)


def first():
    made = Channel("made")
    set_channel("made", made)
    passive_channel.send("made")
    together(
        Side(active_channel, "a to main", "main to a", True).sync,
        Side(made, "a to b", "b to a", False).sync,
    )
    passive_channel.send("done")
    stay()


def second():
    passive_channel.receive(60)

    async def both():
        await asyncio.gather(
            Side(active_channel, "b to main", "main to b", False).other_door(),
            Side(get_channel("made"), "b to a", "a to b", True).other_door(),
        )

    asyncio.run(both())
    passive_channel.send("done")
    stay()


def third():
    heard = []

    @active_channel.on_receive(ordered=True)
    def hear(number):
        # Also in callbacks.
        heard.append((number, shared_memory.get("main to c")))
        if number == STREAM:
            assert all(told <= seen for told, seen in heard), heard
            passive_channel.send("done")

    threading.Event().wait()


async def to_callbacks():
    for number in range(1, STREAM + 1):
        shared_memory["main to c"] = number
        await get_channel("c-active").async_send(number)


async def act():
    made = await get_channel("a-passive").async_receive(20)
    await get_channel("b-passive").async_send(made)
    await asyncio.gather(
        Side(get_channel("a-active"), "main to a", "a to main", False).other_door(),
        asyncio.to_thread(Side(get_channel("b-active"), "main to b", "b to main", True).sync),
        to_callbacks(),
    )
    await done()


if __name__ == "__main__":
    NAMES = NAMES[:3]
    bot = LiteyukiBot()
    for name, target in zip(NAMES, (first, second, third)):
        bot.add_process(name, target, restart=RestartPolicy("never"))
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot)


def test_a_process_reads_its_own_writes(tmp_path: Path, environment: Environment) -> None:
    """In the thread or task that wrote, in another that was told, through either door."""
    program(
        tmp_path,
        PARTIES,
        """
COUNT = 150
KEYS = itertools.count()


def own_key():
    # Every other one shares the cell of the one before.
    number = next(KEYS)
    key = f"{os.getpid()} {number // 2} "
    return twin(key) if number % 2 else key


def see(key, number):
    seen = shared_memory.get(key)
    assert seen == number, (key, seen, number)


def thread():
    key, told, seen = own_key(), Queue(), Queue()

    def another():
        while (number := told.get()) is not None:
            seen.put((number, shared_memory.get(key)))

    def write():
        for number in range(1, COUNT):
            shared_memory[key] = number
            see(key, number)
            shared_memory.incr(key, 1000)
            see(key, number + 1000)
            shared_memory.update(key, lambda value: -value)
            see(key, -number - 1000)
            assert shared_memory.pop(key) == -number - 1000
            see(key, None)
            assert shared_memory.setdefault(key, number) == number
            told.put(number)
            there = seen.get(timeout=60)
            assert there == (number, number), (key, there)
            assert shared_memory.compare_and_set(key, number, "set")
            see(key, "set")
            assert shared_memory.delete(key)
            assert key not in shared_memory
        told.put(None)

    together(another, write)


async def task():
    key = own_key()
    for number in range(1, COUNT):
        await shared_memory.async_set(key, number)
        see(key, number)
        await asyncio.to_thread(see, key, number)
        await shared_memory.async_incr(key, 1000)
        assert await shared_memory.async_get(key) == number + 1000
        shared_memory[key] = number
        assert await shared_memory.async_get(key) == number
        assert await shared_memory.async_pop(key) == number
        see(key, None)
        assert await shared_memory.async_get(key) is None


def writer():
    threads_and_tasks(thread, task)
    passive_channel.send("done")
    stay()


async def act():
    await asyncio.gather(asyncio.to_thread(thread), task(), task())
    await done()


if __name__ == "__main__":
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, writer, restart=RestartPolicy("never"))
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot)


def test_reads_never_go_back(tmp_path: Path, environment: Environment) -> None:
    """A key that only grows only grows for all who read it, also from one thread to the next."""
    program(
        tmp_path,
        PARTIES,
        """
COUNT = 600
LATEST = threading.Lock()
latest = 0


def look():
    # Under a lock, so that the reads of all threads of a process have one order.
    global latest
    with LATEST:
        seen = shared_memory.get("count", 0)
        assert seen >= latest, f"{seen} after {latest}"
        latest = seen
    return seen


def thread():
    while look() < 2 * COUNT:
        pass


async def task():
    last = 0
    while last < 2 * COUNT:
        seen = await shared_memory.async_get("count", 0)
        assert seen >= last, f"{seen} after {last}"
        last = max(seen, look())
        await asyncio.sleep(0)


def reader():
    threads_and_tasks(thread, task, 2)
    passive_channel.send("done")
    stay()


def writer():
    for _ in range(COUNT):
        shared_memory.incr("count")
    passive_channel.send("done")
    stay()


async def act():
    reading = asyncio.gather(asyncio.to_thread(thread), task())
    for _ in range(COUNT):
        await shared_memory.async_incr("count")
        await asyncio.sleep(0)
    await reading
    await done()


if __name__ == "__main__":
    bot = LiteyukiBot()
    for name in NAMES:
        bot.add_process(name, writer if name == "d" else reader, restart=RestartPolicy("never"))
    main(bot, act)
""",
    )
    with running(tmp_path, environment) as bot:
        well(bot)

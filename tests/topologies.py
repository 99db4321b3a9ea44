"""Topologies with faults: plans made from seeds, what a run of one must have been, smaller ones.

A plan is pure data, JSON. Its `channels` have an owner: the process of NAME-active and
NAME-passive, or whoever makes one. A message goes to the owner, or from it to "others": to
one of those that receive there. `senders` and `receivers` say who does what; their places in
these lists are their numbers in the facts. `faults` happen in the first `seconds`; those of
`OWN_FAULTS` a process does to itself, so long after its own start, in one of its lives.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from copy import deepcopy
from itertools import pairwise
from typing import Any

from tests.children.facts import Fact

Plan = dict[str, Any]

MAIN = "main"
SYNC_WAYS = ("receive", "timeout", "nowait", "iterate", "two_threads", "select", "quits")
ASYNC_WAYS = (
    *("async_receive", "async_timeout", "async_nowait", "async_iterate", "three_tasks"),
    *("cancelled", "async_select"),
)
CALLBACKS = ("callback", "sync_callback", "ordered", "sync_ordered", "bounded", "filtered")
QUITS = "quits"
"""Receives until none comes for a moment, and then never asks again, but keeps its end."""
SEQUENTIAL = {*SYNC_WAYS, *ASYNC_WAYS, "ordered", "sync_ordered"} - {"two_threads", "three_tasks"}
ENDING_SILENTLY = {"iterate", "two_threads", "select", "async_iterate", "three_tasks"}
ENDING_SILENTLY |= {"async_select"}
"""Ways in which a loop ends, so that it is not told whether the other side is gone for good."""

SENDING = ("thread", "shift", "async", "burst")

OWN_FAULTS = ("os_exit", "sys_exit", "raise", "return", "close")
HARD = ("kill", "os_exit")
"""How a process ends that may lose what it has sent last."""
_JUST_NOW = 0.05
"""Before an end of its own a process may just have handled a message, and not asked again."""

# ------------------------------------------------------------- making plans


def make_plan(seed: int) -> Plan:
    """Return the plan of a seed, always the same one."""
    chance = random.Random(seed)
    children = ["a", "b", "c", "d"][: chance.choice((1, 2, 2, 3, 3, 4))]
    processes = [MAIN, *children]
    plan: Plan = {
        "seed": seed,
        "seconds": 1.4,
        "children": {name: chance.choice(("wait", "receive", "async")) for name in children},
        "channels": {},
        "senders": [],
        "receivers": [],
        "faults": [],
    }
    channels = plan["channels"]
    for child in children:
        for kind in ("active", "passive"):
            if chance.random() < 0.6:
                channels[f"{child}-{kind}"] = {"owner": child, "made": False}
    for number in range(chance.choice((1, 1, 2, 3))):
        capacity = chance.choice((1, 2, 8, 64))
        owner = chance.choice(processes)
        channels[f"made-{number}"] = {"owner": owner, "made": True, "capacity": capacity}
    for name in channels:
        for to_owner in chance.choice(((True,), (False,), (True, False))):
            _add_flow(plan, chance, name, to_owner)
    _select_more(plan, chance)
    _add_faults(plan, chance)
    _mend(plan)
    return plan


def _add_flow(plan: Plan, chance: random.Random, channel: str, to_owner: bool) -> None:
    owner = plan["channels"][channel]["owner"]
    others = [name for name in (MAIN, *plan["children"]) if name != owner]
    chance.shuffle(others)
    some = others[: chance.choice((1, 1, 2, 3))]
    for process in some if to_owner else [owner]:
        plan["senders"].append(
            {
                "process": process,
                "channel": channel,
                "way": chance.choice(SENDING),
                "count": chance.choice((5, 20, 60, 100)),
                "pause": chance.choice((0, 0, 0.003, 0.01)),
                "size": chance.choice((0, 0, 0, 3_000, 300_000)),
                "asks": chance.random() < 0.3,
            }
        )
    for process in [owner] if to_owner else some:
        plan["receivers"].append(
            {
                "process": process,
                "channels": [channel],
                "way": chance.choice((*SYNC_WAYS, *ASYNC_WAYS, *CALLBACKS)),
                "handling": chance.choice((0, 0, 0.002, 0.01)),
            }
        )


def _select_more(plan: Plan, chance: random.Random) -> None:
    """Let a select receive what another receiver of its process would."""
    for receiver in list(plan["receivers"]):
        if receiver["way"] not in ("select", "async_select") or receiver not in plan["receivers"]:
            continue
        for other in list(plan["receivers"]):
            if (
                other is not receiver
                and other["process"] == receiver["process"]
                and chance.random() < 0.5
            ):
                receiver["channels"] += other["channels"]
                plan["receivers"].remove(other)


def _add_faults(plan: Plan, chance: random.Random) -> None:
    children = list(plan["children"])
    kinds = ["kill"] * 4 + ["restart"] * 4 + ["stop"] * 2 + ["freeze"] * 2 + ["close"] * 3
    kinds += ["os_exit", "sys_exit", "raise", "return"]
    made = [name for name, channel in plan["channels"].items() if channel["made"]]
    for _ in range(chance.choice((1, 2, 3, 4, 5, 6))):
        kind = chance.choice(kinds)
        fault = {"kind": kind, "at": round(chance.uniform(0, plan["seconds"]), 3)}
        if kind == "close":
            name = chance.choice(made)
            holders = [plan["channels"][name]["owner"]]
            holders += [r["process"] for r in plan["receivers"] if name in r["channels"]]
            fault |= {"channel": name, "process": chance.choice(holders), "life": 1}
        else:
            fault["process"] = chance.choice(children)
        if kind in ("freeze", "stop"):
            fault["seconds"] = round(chance.uniform(0.05, 0.5), 3)
        if kind in OWN_FAULTS and kind != "close":
            fault["life"] = chance.choice((1, 1, 2))
        plan["faults"].append(fault)


def _mend(plan: Plan) -> None:
    """Take out what means nothing, or what no law speaks about."""
    makers = {channel["owner"] for channel in plan["channels"].values() if channel["made"]}
    for fault in plan["faults"]:
        # A maker that is stopped ends its channel, and the next of that name is another.
        if fault["kind"] == "stop" and fault["process"] in makers:
            fault["kind"] = "restart"
    stopped = {fault["process"] for fault in plan["faults"] if fault["kind"] == "stop"}
    received = {
        (name, receiver["process"] == plan["channels"][name]["owner"])
        for receiver in plan["receivers"]
        for name in receiver["channels"]
    }
    # Where nobody receives, nothing is promised but that senders wait.
    plan["senders"] = [
        sender
        for sender in plan["senders"]
        if (sender["channel"], to_owner(plan, sender)) in received
    ]
    for receiver in plan["receivers"]:
        # Such a one is told that the other side is gone, and asks again.
        away = any(
            stopped & (_users(plan, name) - {receiver["process"]}) for name in receiver["channels"]
        )
        if away and receiver["way"] in ENDING_SILENTLY:
            receiver["way"] = "async_receive" if receiver["way"] in ASYNC_WAYS else "receive"
            plan["receivers"] += [
                {**receiver, "channels": [name]} for name in receiver["channels"][1:]
            ]
            del receiver["channels"][1:]
    for receiver in plan["receivers"]:
        name = receiver["channels"][0]
        # The owner receives alone; of others, some are to go on.
        go_on = _receive(plan, name) - {plan["channels"][name]["owner"]}
        alone = receiver["process"] == plan["channels"][name]["owner"] or not go_on
        if receiver["way"] == QUITS and alone:
            receiver["way"] = "receive"
    closed: set[str] = set()
    faults = []
    for fault in plan["faults"]:
        if fault["kind"] == "close":
            name, process = fault["channel"], fault["process"]
            if (
                name in closed
                or name not in plan["channels"]
                or not _may_close(plan, name, process)
            ):
                continue
            closed.add(name)
        faults.append(fault)
    plan["faults"] = faults


def _may_close(plan: Plan, name: str, process: str) -> bool:
    """Return whether a channel may be closed there, so that all that wait for it learn it.

    A side that others hold who never receive is not ended by that.
    """
    owner = plan["channels"][name]["owner"]
    if process == owner:
        return True
    receive = _receive(plan, name) - {owner}
    send = {s["process"] for s in plan["senders"] if s["channel"] == name} - {owner}
    quit_there = {r["process"] for r in plan["receivers"] if name in r["channels"]} - receive
    return process in receive and send <= receive and not quit_there - {owner}


def _users(plan: Plan, channel: str) -> set[str]:
    """Return the processes that have a channel."""
    users = {plan["channels"][channel]["owner"]}
    users |= {each["process"] for each in plan["senders"] if each["channel"] == channel}
    return users | {each["process"] for each in plan["receivers"] if channel in each["channels"]}


def _receive(plan: Plan, channel: str) -> set[str]:
    """Return the processes that receive from a channel and go on doing so."""
    return {
        receiver["process"]
        for receiver in plan["receivers"]
        if channel in receiver["channels"] and receiver["way"] != QUITS
    }


def to_owner(plan: Plan, sender: dict[str, Any]) -> bool:
    """Return whether what a sender sends goes to the channel's owner."""
    return bool(sender["process"] != plan["channels"][sender["channel"]]["owner"])


def smaller(plan: Plan) -> Iterator[Plan]:
    """Return plans that are a little less than this one, those that leave out most first."""
    for name in plan["children"]:
        if len(plan["children"]) > 1:
            yield _without_child(plan, name)
    for name in plan["channels"]:
        less = deepcopy(plan)
        _drop_channel(less, name)
        yield _mended(less)
    for kind in ("faults", "senders", "receivers"):
        for i in range(len(plan[kind])):
            less = deepcopy(plan)
            del less[kind][i]
            yield _mended(less)
    for i, sender in enumerate(plan["senders"]):
        for key, least in (("count", 5), ("size", 0), ("asks", False), ("pause", 0)):
            if sender[key] > least:
                less = deepcopy(plan)
                less["senders"][i][key] = max(least, sender[key] // 3) if key == "count" else least
                yield less
    for i, receiver in enumerate(plan["receivers"]):
        if receiver["handling"]:
            less = deepcopy(plan)
            less["receivers"][i]["handling"] = 0
            yield less


def _without_child(plan: Plan, name: str) -> Plan:
    less = deepcopy(plan)
    del less["children"][name]
    for channel, about in plan["channels"].items():
        if about["owner"] == name:
            _drop_channel(less, channel)
    for kind in ("faults", "senders", "receivers"):
        less[kind] = [each for each in less[kind] if each["process"] != name]
    return _mended(less)


def _drop_channel(plan: Plan, name: str) -> None:
    del plan["channels"][name]
    plan["senders"] = [each for each in plan["senders"] if each["channel"] != name]
    plan["faults"] = [each for each in plan["faults"] if each.get("channel") != name]
    for receiver in plan["receivers"]:
        receiver["channels"] = [each for each in receiver["channels"] if each != name]
    plan["receivers"] = [each for each in plan["receivers"] if each["channels"]]


def _mended(plan: Plan) -> Plan:
    _mend(plan)
    return plan


# ------------------------------------------------------------- judging

Id = tuple[str, int, int, int]
"""A message: its sender's process and life, the sender's number in the plan, its own number."""

Life = tuple[str, int]


class History:
    """The facts of a run, by what they are about."""

    def __init__(self, plan: Plan, facts: list[Fact]) -> None:
        self.plan = plan
        self.sent: dict[Id, float] = {}
        self.begun: dict[Id, list[tuple[float, Life, int]]] = defaultdict(list)
        self.ended: dict[Id, list[tuple[float, Life]]] = defaultdict(list)
        self.answers: dict[Id, str] = {}
        self.over: set[tuple[str, int, int]] = set()
        self.done: set[tuple[str, int, int]] = set()
        self.starts: dict[Life, float] = {}
        self.ends: dict[Life, tuple[float, str]] = {}
        """When and how a life ended that was ended; the hardest way counts."""
        self.closed: dict[str, tuple[float, str]] = {}
        """When a channel was closed in the middle, and by whom."""
        self.closed_at_last = False
        # A process may be ended between its start and its first word.
        starts = [fact for fact in facts if fact.kind == "start"]
        pids = {fact.details[0]: (fact.process, fact.life) for fact in starts}
        for fact in facts:
            life = fact.process, fact.life
            if fact.kind == "stopping":
                break  # What ends from now on ends because the whole bot does.
            match fact.kind, fact.details:
                case "start", (int(),):
                    self.starts[life] = fact.time
                case "sent", (int(sender), int(number)):
                    self.sent[(*life, sender, number)] = fact.time
                case "begin", (int(receiver), list(message)):
                    self.begun[_id(message)].append((fact.time, life, receiver))
                case "end", (int(), list(message)):
                    self.ended[_id(message)].append((fact.time, life))
                case "answer", (int(sender), int(number), str(what)):
                    self.answers[(*life, sender, number)] = what
                case "over", (int(receiver),):
                    self.over.add((*life, receiver))
                case "done", (int(sender),):
                    self.done.add((*life, sender))
                case ("kill" | "stop" | "restart") as kind, (int(pid),):
                    if pid in pids:
                        self._end(pids[pid], fact.time, "kill" if kind == "kill" else "stop")
                case "exit", (str(kind),):
                    self._end(life, fact.time, kind)
                case "closing", (str(channel),):
                    self.closed[channel] = fact.time, fact.process
                case "closing_all", ():
                    self.closed_at_last = True

    def _end(self, life: Life, time: float, kind: str) -> None:
        hard = ("stop", "return", "raise", "sys_exit", "os_exit", "kill")
        before = self.ends.get(life)
        if before is None or hard.index(kind) > hard.index(before[1]):
            self.ends[life] = time, kind

    def last_life(self, process: str) -> int:
        """Return the number of the last life of a process, 0 for none."""
        return max((life for name, life in self.starts if name == process), default=0)

    def has_ended(self, process: str) -> bool:
        """Return whether the last life of a process has ended, so that another will come."""
        return (process, self.last_life(process)) in self.ends

    def pending(self) -> list[dict[str, Any]]:
        """Return what processes are still to do to themselves.

        One whose main thread receives ends with its next message, which may never come.
        """
        found = []
        for fault in self.plan["faults"]:
            process, kind = fault["process"], fault["kind"]
            if kind not in OWN_FAULTS or fault["life"] != self.last_life(process):
                continue
            at_once = kind in ("os_exit", "close") or self.plan["children"][process] != "receive"
            if at_once and not (kind == "close" and fault["channel"] in self.closed):
                found.append(fault)
        return found

    def hurt(self, processes: set[str]) -> bool:
        """Return whether a life of these ended before the last."""
        return any(name in processes for name, _ in self.ends)

    def unhandled(self) -> list[Id]:
        """Return the messages that are sent and not handled, and have to be.

        What a killed process has sent last may have died with it: what comes behind all of it
        that was handled.
        """
        last: dict[tuple[str, int, int], int] = {}
        for process, life, sender, number in self.begun:
            stream = process, life, sender
            last[stream] = max(number, last.get(stream, -1))
        found = []
        for message in self.sent:
            if message in self.ended or not self.must_be_handled(message):
                continue
            killed = self.ends.get(message[:2], (0.0, ""))[1] in HARD
            if not killed or message[3] <= last.get(message[:3], -1):
                found.append(message)
        return found

    @property
    def senders_left(self) -> list[str]:
        """Return the senders of the lives there are that have not yet sent all."""
        left = []
        for number, sender in enumerate(self.plan["senders"]):
            process = sender["process"]
            if (process, self.last_life(process), number) not in self.done:
                left.append(f"sender {number} of {process} on {sender['channel']}")
        return left

    def must_be_handled(self, message: Id) -> bool:
        """Return whether a sent message may not be lost, whoever closes its channel."""
        sender = self.plan["senders"][message[2]]
        channel = sender["channel"]
        owner = self.plan["channels"][channel]["owner"]
        if channel not in self.closed:
            return True
        _, closer = self.closed[channel]
        if to_owner(self.plan, sender):
            # Closed by the owner, or by all who can send: what came before is handled then.
            return bool(closer != owner)
        if closer == owner:
            return True
        receive = _receive(self.plan, channel)
        # The last that receives has what is left dropped; it is the last while others are away.
        remain = receive - {owner, closer}
        return bool(remain) and not self.hurt({*remain, closer})


def _id(message: list[Any]) -> Id:
    process, life, sender, number = message
    return process, life, sender, number


def judge(plan: Plan, facts: list[Fact]) -> list[str]:
    """Return what is wrong with a run whose processes have all ended; each with a word first."""
    history = History(plan, facts)
    return [
        *_lost(history),
        *_misled(history),
        *_doubled(history),
        *_out_of_order(history),
        *_unanswered(history),
        *hanging(history),
    ]


def _lost(history: History) -> Iterator[str]:
    for message in history.unhandled():
        _, end = history.ends.get(message[:2], (0.0, ""))
        begun = history.begun.get(message, [])
        where = f", begun in {_lives([life for _, life, _ in begun])}" if begun else ""
        how = f" of a life ended by {end}" if end else ""
        yield f"lost: {_name(history, message)}{how}{where}"


def _misled(history: History) -> Iterator[str]:
    for message, begun in history.begun.items():
        sender = history.plan["senders"][message[2]]
        channel = sender["channel"]
        owner = history.plan["channels"][channel]["owner"]
        for _, (process, _), number in begun:
            receiver = history.plan["receivers"][number]
            if process == message[0]:
                yield f"own: {_name(history, message)} came to its sender"
            elif (process == owner) != to_owner(history.plan, sender):
                yield f"misled: {_name(history, message)} came to {process}"
            elif channel not in receiver["channels"] or receiver["process"] != process:
                yield f"misled: {_name(history, message)} came by receiver {number} of {process}"


def _doubled(history: History) -> Iterator[str]:
    for message, begun in history.begun.items():
        ended = {life: time for time, life in reversed(history.ended.get(message, []))}
        for (_, life, _), (again, other, _) in pairwise(begun):
            what = f"{_name(history, message)} was begun by {_lives([life, other])}"
            time, how = history.ends.get(life, (0.0, ""))
            if life == other or not how or time > again:
                yield f"doubled: {what}, though the first lived on"
            elif how == "stop" and life in ended:
                yield f"doubled: {what}, though the first had handled it; ended by a stop"
            elif how == "return" and ended.get(life, time) < time - _JUST_NOW:
                yield f"doubled: {what}, though the first had handled it before it returned"
        for _, life, _ in begun:
            if history.ends.get(life, (0.0, ""))[1] == "stop" and life not in ended:
                yield f"broken off: {_name(history, message)} in {_lives([life])} by a stop"


def _out_of_order(history: History) -> Iterator[str]:
    plan = history.plan
    alone: dict[tuple[str, bool], set[str]] = defaultdict(set)
    for receiver in plan["receivers"]:
        for name in receiver["channels"]:
            owner = plan["channels"][name]["owner"]
            alone[name, receiver["process"] == owner].add(receiver["process"])
    came: dict[tuple[Life, str, int, int], list[tuple[float, int]]] = defaultdict(list)
    for message, begun in history.begun.items():
        sender = plan["senders"][message[2]]
        for time, life, number in begun:
            if (
                plan["receivers"][number]["way"] in SEQUENTIAL
                and len(alone[sender["channel"], to_owner(plan, sender)]) == 1
            ):
                came[(life, *message[:3])].append((time, message[3]))
    for (life, process, sender_life, number), messages in came.items():
        numbers = [n for _, n in sorted(messages)]
        if numbers != sorted(numbers):
            i = next(i for i in range(1, len(numbers)) if numbers[i] < numbers[i - 1])
            channel = plan["senders"][number]["channel"]
            yield (
                f"order: {channel}: {_lives([life])} got {numbers[i - 1]} before {numbers[i]} of "
                f"{process} {sender_life}"
            )


def _unanswered(history: History) -> Iterator[str]:
    for message, what in history.answers.items():
        if what == "timeout":
            yield f"hangs: {_name(history, message)}: no answer and no error came"


def hanging(history: History) -> Iterator[str]:
    """Return who sends and receives for ever, though all was closed."""
    for what in history.senders_left:
        yield f"hangs: {what} never sent all"
    if not history.closed_at_last:
        return
    for number, receiver in enumerate(history.plan["receivers"]):
        process = receiver["process"]
        made = all(history.plan["channels"][name]["made"] for name in receiver["channels"])
        if not made or receiver["way"] in (*CALLBACKS, QUITS):
            continue
        if (process, history.last_life(process), number) not in history.over:
            yield (
                f"hangs: receiver {number} of {process} ({receiver['way']}) on "
                f"{', '.join(receiver['channels'])} after all was closed"
            )


def _name(history: History, message: Id) -> str:
    process, life, sender, number = message
    channel = history.plan["senders"][sender]["channel"]
    return f"{channel}: {number} of {process} {life} (sender {sender})"


def _lives(lives: list[Life]) -> str:
    return ", ".join(f"{process} {life}" for process, life in lives)

"""Figures of the last hour and day: memory, processor time, lag, messages, backlog.

They are kept for the main process and 63 others. Each has 5 figures of 8 bytes for 360 steps of an
hour and for 360 steps of a day: 28,800 bytes, and all together 1.85 MB, and little else.

Ownership. `Figures` owns its arrays, and from `begin` on a timer of the loop that calls it. A bot
whose web page was never opened never begins, and has no such timer. All is for one thread.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from math import isnan, nan
from time import monotonic, time
from typing import Literal, NamedTuple

from . import models

Span = Literal["hour", "day"]

STEP = 10.0
_SLOTS = 360
_OF_A_DAY = 24
"""So many steps of an hour are one of a day: 4 minutes."""

_MOST = 64
MAIN = ""
"""The main process's name here. No child can have it."""


class Sample(NamedTuple):
    """What is known of a process at some time. `seconds` and `messages` are totals."""

    memory: int | None = None
    seconds: float | None = None
    lag: float | None = None
    messages: int = 0
    queue: int = 0
    pid: int | None = None


class _Point(NamedTuple):
    memory: float
    cpu: float
    lag: float
    messages: float
    queue: float


class _Sums:
    """What stands for several points: their mean, but the longest lag and backlog."""

    __slots__ = ("_counts", "_most", "_sums")

    def __init__(self) -> None:
        self._sums = [0.0] * 5
        self._counts = [0] * 5
        self._most = [-1.0] * 5

    def add(self, point: _Point) -> None:
        """Count one more point."""
        for i, value in enumerate(point):
            if not isnan(value):
                self._sums[i] += value
                self._counts[i] += 1
                self._most[i] = max(self._most[i], value)

    def point(self) -> _Point:
        """Return what stands for those so far."""
        values = [
            nan if not count else most if name in ("lag", "queue") else total / count
            for name, total, count, most in zip(
                _Point._fields, self._sums, self._counts, self._most, strict=True
            )
        ]
        return _Point(*values)


_UNKNOWN = _Point(nan, nan, nan, nan, nan)


class _Rings:
    """The points of all processes over one span. `last` is the slot of the newest of them."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.first = 0
        self.tracks: dict[str, tuple[array[float], ...]] = {}

    def put(self, slot: int, points: Mapping[str, _Point]) -> None:
        """Add points. What was missed since the last ones is not known."""
        if self.last is None:
            self.last, self.first = slot - 1, slot
        skipped = range(max(self.last + 1, slot - _SLOTS + 1), slot)
        self.last = slot
        for name in points:
            if name not in self.tracks and (len(self.tracks) < _MOST or self._forget(points)):
                self.tracks[name] = tuple(array("d", [nan] * _SLOTS) for _ in _Point._fields)
        for name, track in self.tracks.items():
            for ring, value in zip(track, points.get(name, _UNKNOWN), strict=True):
                for each in skipped:
                    ring[each % _SLOTS] = nan
                ring[slot % _SLOTS] = value
        if slot % _SLOTS == 0:
            self.tracks = {n: t for n, t in self.tracks.items() if n in points or _is_known(t)}

    def _forget(self, points: Mapping[str, _Point]) -> bool:
        """Forget a process that is gone; return whether there was one."""
        gone = next((name for name in self.tracks if name not in points), None)
        if gone is not None:
            del self.tracks[gone]
        return gone is not None

    def of(self, name: str) -> list[list[float]]:
        """Return the points of a process, by figure, the oldest first."""
        if self.last is None or name not in self.tracks:
            return [[] for _ in _Point._fields]
        slots = range(max(self.first, self.last - _SLOTS + 1), self.last + 1)
        return [[ring[slot % _SLOTS] for slot in slots] for ring in self.tracks[name]]


def _is_known(track: tuple[array[float], ...]) -> bool:
    return any(not isnan(value) for ring in track for value in ring)


class Figures:
    """Takes a sample every `STEP` seconds and keeps what comes of it. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._rings: dict[Span, _Rings] = {"hour": _Rings(), "day": _Rings()}
        self._before: tuple[float, Mapping[str, Sample]] | None = None
        self._since: dict[str, _Sums] = {}
        """What the points of the step of a day come to that is not over."""
        self._day: int | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(
        self, loop: asyncio.AbstractEventLoop, sample: Callable[[], Mapping[str, Sample]]
    ) -> None:
        """Have `sample` called every `STEP` seconds from now on. Idempotent."""
        if self._timer is None:

            def take() -> None:
                self._timer = loop.call_later(STEP, take)
                self.add(sample())

            take()

    def end(self) -> None:
        """Take no more samples. Idempotent."""
        if self._timer is not None:
            self._timer.cancel()

    def add(self, samples: Mapping[str, Sample]) -> None:
        """Keep what comes of these samples and those before."""
        now = self._clock()
        if self._before is not None:
            then, before = self._before
            if now <= then:
                return
            points = {
                name: _point(sample, before.get(name), now - then)
                for name, sample in samples.items()
            }
            self._keep(int(now // STEP), points)
        self._before = now, samples

    def _keep(self, slot: int, points: Mapping[str, _Point]) -> None:
        self._rings["hour"].put(slot, points)
        day = slot // _OF_A_DAY
        if self._day is not None and day != self._day:
            points_of_day = {name: sums.point() for name, sums in self._since.items()}
            self._rings["day"].put(self._day, points_of_day)
            self._since = {}
        self._day = day
        for name in self._rings["hour"].tracks.keys() & points.keys():
            self._since.setdefault(name, _Sums()).add(points[name])

    def show(self, span: Span) -> models.Figures:
        """Return the figures of the last hour or day."""
        rings = self._rings[span]
        step = STEP if span == "hour" else STEP * _OF_A_DAY
        now = self._clock()
        end = now if rings.last is None else min(now, (rings.last + 1) * step)
        return models.Figures(
            step=step,
            end=datetime.fromtimestamp(time() - (now - end), timezone.utc),
            main=_series(rings.of(MAIN)),
            processes={name: _series(rings.of(name)) for name in rings.tracks if name != MAIN},
        )


def _point(now: Sample, before: Sample | None, seconds: float) -> _Point:
    cpu = messages = nan
    if before is not None:
        if now.seconds is not None and before.seconds is not None and now.pid == before.pid:
            cpu = max(0.0, (now.seconds - before.seconds) / seconds * 100)
        messages = max(0.0, (now.messages - before.messages) / seconds)
    memory = nan if now.memory is None else now.memory
    return _Point(memory, cpu, nan if now.lag is None else now.lag, messages, now.queue)


def _series(columns: list[list[float]]) -> models.Series:
    memory, cpu, lag, messages, queue = columns
    return models.Series(
        memory=[None if isnan(value) else int(value) for value in memory],
        cpu=_rounded(cpu, 2),
        lag=_rounded(lag, 4),
        messages=_rounded(messages, 2),
        queue=_rounded(queue, 1),
    )


def _rounded(values: Iterable[float], digits: int) -> list[float | None]:
    return [None if isnan(value) else round(value, digits) for value in values]

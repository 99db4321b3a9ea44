"""The requests under way to one side of a channel: what a `Side` does for messages, and answers.

A route has these only once its channel is used for requests. An answer settles its request and goes
to whoever asked, past all messages. The asker numbers its requests; the side numbers them anew, as
it does messages. Nothing here knows links or names, waits, runs user code or looks into a message.
The caller of every method holds the hub's lock.

Invariants.
- A request that somebody waits for is in `_asked`, and in one entry, until its outcome is passed
  on: its answer, or why there is none. It has one outcome.
- A request in an entry that is not in `_asked` was cancelled. Its holder was told, or it has none.
- `_answers` has answers that are not passed on yet. Their requests are still in entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf
from time import monotonic

from ...errors import ChannelBroken, ChannelClosed, ChannelError, RemoteError
from ..wire import frames
from ..wire.batch import Batch
from ..wire.headers import Headers
from ..wire.words import Ranges
from .side import MAIN, Carried, Entry, Holder, Recipient, Side

GRACE = 1.0
"""Seconds that a process which is ready, and has the channel, has to say that it answers."""

Asker = tuple[Recipient, int]
"""A peer, and its number for the end that it has asked from."""


class Requests(Side):
    """One side of a route, as requests see it."""

    of_requests = True
    says_begun = True
    """Whether who answers says of a request with the header `once` when its handling begins."""
    is_pooled = False
    """Whether a pool of processes answers, see `calls.py`."""
    refusal: str | None = None
    """Why nobody answers, if that is known. Requests are refused then."""

    def __init__(self, process: str | None, is_queue: bool = False) -> None:
        super().__init__(process)
        self._is_queue = is_queue
        self._asked: dict[Asker, dict[int, int]] = {}
        """By asker: its numbers of the requests that it waits for, and this side's."""
        self._answers: dict[int, Batch] = {}
        """By this side's number of a request: its answer, alone in a batch."""
        self._waiting_since = 0.0
        """When the first of the requests came that wait now."""
        self.silent: set[Recipient] = set()
        """Peers that are other nodes, where it is certain that nobody answers."""

    # ------------------------------------------------------------- from askers

    def add(
        self,
        batch: Batch,
        source: Recipient | None,
        number: int,
        links: tuple[Carried, ...] = (),
    ) -> None:
        """Take requests into custody and pass them on."""
        headers = batch.headers
        assert headers is not None
        assert headers.request is not None
        if source is not None:
            asked = self._asked.setdefault((source, number), {})
            for i in range(batch.count):
                asked[headers.request + i] = self.count + i
        if not self.waiting:
            self._waiting_since = monotonic()
        if headers.once and self.says_begun:
            batch = batch.having(batch.first, frames.PROMPT)
        super().add(batch, source, number, links)

    def cancel(self, asker: Asker, request: int, kill: bool = False) -> None:
        """Learn that nobody waits for the answer to a request any more.

        Only a pool is told of `kill`.
        """
        at = self._pop(asker, request)
        if at is None:
            return  # The answer, or the refusal, has crossed this on its way.
        self._answers.pop(at, None)
        if self._cut_out(at):
            return
        for holder in self.holders.values():
            if self._entry_of(holder, at) is not None:
                holder.peer.cancelled(holder.number, [at])
                return

    def forget_asker(self, asker: Asker) -> None:
        """Learn that an end is gone: nobody waits for the answers to its requests any more."""
        for request in list(self._asked.get(asker, ())):
            self.cancel(asker, request)

    def _cut_out(self, at: int) -> bool:
        """Drop a request if it waits for a holder; return whether it did."""
        for i, entry in enumerate(self.waiting):
            batch = entry.batch
            place = at - batch.first
            if not 0 <= place < batch.count:
                continue
            del self.waiting[i]
            for start, stop in ((place + 1, batch.count), (0, place)):
                if start < stop:
                    self.waiting.insert(i, entry.of(batch.part(start, stop), entry.crashed))
            self._drop(entry)
            if batch.count == 1:
                entry.unlink()
            return True
        return False

    # ------------------------------------------------------------- from those who answer

    def answer(self, holder: Holder, batch: Batch) -> bool:
        """Pass on answers and settle their requests; return whether the holder has these.

        Answers with the header `held` are passed on by `release`.
        """
        headers = batch.headers
        assert headers is not None
        if len(headers.answer) == 1 and self._answer_one(holder, batch, headers):
            return True
        found = [self._entry_of(holder, at) for at in headers.answer]
        if None in found or len(set(headers.answer)) != len(found):
            return False
        if headers.held:
            for i, at in enumerate(headers.answer):
                one = batch.part(i, i + 1)
                self._answers[at] = one.with_headers(Headers(answer=(at,), failed=headers.failed))
            return True
        kinds: list[Asker | None] = []
        numbers: list[int] = []
        settled: dict[tuple[Recipient | None, int], int] = {}
        for at, entry in zip(headers.answer, found, strict=True):
            assert entry is not None
            asker, request = asker_of(entry, at)
            answered = asker is not None and self._pop(asker, request) is not None
            kinds.append(asker if answered else None)
            numbers.append(request)
            self._settle_some(holder, at, at + 1, {} if answered else settled)
        start = 0
        for asker, part in batch.runs(kinds):
            start = kinds.index(asker, start)
            stop = start + part.count
            told = Headers(answer=tuple(numbers[start:stop]), failed=headers.failed)
            asker[0].answered(asker[1], part.with_headers(told))
            start = stop
        self._tell_settled(settled)
        if self.waiting:
            self.push()
        return True

    def _answer_one(self, holder: Holder, batch: Batch, headers: Headers) -> bool:
        """Do what `answer` does with a lone answer to a lone request: most are that."""
        (at,) = headers.answer
        entry = self.sent.get(at)
        if entry is None or entry.batch.count != 1 or entry.holder is not holder or headers.held:
            return False
        asker, request = asker_of(entry, at)
        if asker is None or self._pop(asker, request) is None:
            return False
        del self.sent[at]
        holder.outstanding -= 1
        if entry.links:
            entry.unlink()
        batch.headers = Headers(None, (request,), False, headers.failed)
        asker[0].answered(asker[1], batch)
        if self.waiting:
            self.push()
        return True

    def release(self, holder: Holder, requests: Sequence[int]) -> bool:
        """Pass on answers that were held; return whether they were there, from this holder."""
        for at in requests:
            held = self._answers.pop(at, None)
            if held is not None:
                whole = self.answer(holder, held)
            else:
                whole = self.settle(holder, [(at, 1)])  # It was cancelled meanwhile.
            if not whole:
                return False
        return True

    def settle(self, holder: Holder, ranges: Ranges) -> bool:
        """Forget requests that a holder has handled without an answer.

        Mostly they were cancelled. Whoever waits for another one is told.
        """
        for first, count in ranges:
            for entry, low, high in self._held(holder, first, first + count):
                for at in range(low, high):
                    self._answers.pop(at, None)
                    self._refuse(entry, at, RemoteError, "its callback has ended without an answer")
        return super().settle(holder, ranges)

    # ------------------------------------------------------------- what has no answer

    def refuse_all(self, kind: type[ChannelError], why: str) -> None:
        """Drop all requests in custody, because nobody will answer. Their askers get this error."""
        for entry in (*self.waiting, *self.sent.values()):
            for at in numbers_of(entry):
                self._refuse(entry, at, kind, why)
        self.clear()

    def refuse(
        self, holder: Holder, requests: Sequence[int], kind: type[ChannelError], why: str
    ) -> None:
        """Drop requests that a holder was given and that it will not answer."""
        for at in requests:
            entry = self._entry_of(holder, at)
            if entry is not None:
                self._answers.pop(at, None)
                self._refuse(entry, at, kind, why)
                self._settle_some(holder, at, at + 1, {})
                self._drop(entry)
        if self.waiting:
            self.push()

    def take_from(self, holder: Holder, kind: type[ChannelError], why: str) -> None:
        """Take back all that a holder was given, because it will not answer. Others may.

        Those with the header `once` may have been begun, so they are dropped.
        """
        for entry in list(self.sent.values()):
            headers = entry.batch.headers
            if entry.holder is holder and headers is not None and headers.once:
                whys = f"{why}; it is not tried again because of once=True"
                self.refuse(holder, list(numbers_of(entry)), kind, whys)
        self.drop_holder(holder.peer, False, 0)
        self.holders[holder.peer] = Holder(holder.peer, holder.number, False)
        if len(self.holders) > 1:
            self.push()
        else:
            self.refuse_all(kind, why)

    def clear(self) -> int:
        """Drop all requests in custody; return how many there were."""
        self._answers.clear()
        for entry in (*self.waiting, *self.sent.values()):
            for at in numbers_of(entry):
                self._refuse(entry, at, ChannelClosed, "it was closed before the answer came")
        return super().clear()

    def take_waiting(self, kept: Callable[[Entry], bool]) -> list[Entry]:
        """Take the requests that have no holder, as `Side` does."""
        taken = super().take_waiting(kept)
        for entry in taken:
            for at in numbers_of(entry):
                asker, request = asker_of(entry, at)
                if asker is not None:
                    self._pop(asker, request)
        return taken

    def drop_holder(self, peer: Recipient, crash: bool, limit: int) -> list[Entry]:
        """Take back what `peer` had and has not answered; see `Side`."""
        for entry in self.sent.values():
            if self._answers and entry.holder is not None and entry.holder.peer is peer:
                for at in numbers_of(entry):
                    self._answers.pop(at, None)
        self.silent.discard(peer)
        aside = super().drop_holder(peer, crash, limit)
        for entry in aside:
            processes = ", ".join(dict.fromkeys(entry.crashed))
            self._refuse(
                entry,
                entry.batch.first,
                ChannelBroken,
                f"the request was being handled in {len(entry.crashed)} crashes of process "
                f"{processes} in a row and is set aside; bot.dead_letters() has it",
            )
        return aside

    def refusable_at(self, serving: dict[str | None, float]) -> float:
        """Return when it is certain that nobody answers the waiting requests; infinite if it isn't.

        `serving` says for each child whose process runs since when it is ready.
        """
        holders = self.holders.values()
        if not self.waiting or self._is_queue or any(holder.ready for holder in holders):
            return inf
        if holders:
            late = [h for h in holders if h.peer not in self.silent]
            return max((GRACE + max(h.peer.serves_since, h.opened_at) for h in late), default=0.0)
        if self.process is None:
            return inf  # Anybody may still get it.
        if self.process == MAIN:
            return self._waiting_since + GRACE
        return serving.get(self.process, inf) + GRACE

    def _refuse(self, entry: Entry, at: int, kind: type[ChannelError], why: str) -> None:
        asker, request = asker_of(entry, at)
        if asker is not None and self._pop(asker, request) is not None:
            asker[0].refused(asker[1], [request], kind, why)

    # ------------------------------------------------------------- inside

    def _crashed(self, entry: Entry, number: int, crash: bool) -> tuple[str, ...] | None:
        asker, request = asker_of(entry, number)
        headers = entry.batch.headers
        assert headers is not None
        if asker is not None and request not in self._asked.get(asker, ()):
            self._drop(entry)  # It was cancelled.
            entry.unlink()
            return None
        if headers.once and number in entry.begun:
            process = entry.holder.peer.process if entry.holder is not None else None
            why = (
                f"process {process or 'main'} ended while it handled the request, which is not "
                "tried again because of once=True"
            )
            self._refuse(entry, number, ChannelBroken, why)
            self._drop(entry)
            entry.unlink()
            return None
        return super()._crashed(entry, number, crash)

    def _drop(self, entry: Entry) -> None:
        self.dropped += 1
        if entry.source is not None:
            entry.source.dropped(entry.number, 1)

    def _pop(self, asker: Asker, request: int) -> int | None:
        asked = self._asked.get(asker)
        if asked is None:
            return None
        at = asked.pop(request, None)
        if not asked:
            del self._asked[asker]
        return at

    def _entry_of(self, holder: Holder, at: int) -> Entry | None:
        """Return the entry of a request that a holder has and has not handled."""
        for entry, _, _ in self._held(holder, at, at + 1):
            if entry.remaining == entry.batch.count or at not in entry.acknowledged():
                return entry
        return None

    def _sort(self) -> None:
        # What has come back from a holder may have been cancelled.
        for entry in list(self.waiting):
            for at in numbers_of(entry):
                asker, request = asker_of(entry, at)
                if asker is not None and request not in self._asked.get(asker, ()):
                    self._cut_out(at)
        super()._sort()


def asker_of(entry: Entry, at: int) -> tuple[Asker | None, int]:
    """Return who has asked for the request that the side numbers `at`, and the asker's number."""
    headers = entry.batch.headers
    assert headers is not None
    assert headers.request is not None
    request = headers.request + at - entry.batch.first
    return (None if entry.source is None else (entry.source, entry.number)), request


def numbers_of(entry: Entry) -> Iterator[int]:
    """Return the side's numbers of the requests of an entry that are not answered."""
    done = entry.acknowledged()
    first = entry.batch.first
    return (at for at in range(first, first + entry.batch.count) if at not in done)

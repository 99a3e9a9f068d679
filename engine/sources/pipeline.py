"""An ordered parallel map over a sequential stream, with bounded memory.

Workers pull the next item themselves, one at a time under a lock, work on it, and hand the result back under
its number; the caller takes the results in order. No item is pulled while so many results wait or are being
made, so nothing grows with the stream. There is no separate reader thread: reading a block is a small part of the
work on it, and where it is not (gzip), a reader would compete with the workers for the same cores.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import Final, Generic, TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")

_WATCH_SECONDS: Final = 0.25
_STOP_SECONDS: Final = 1.0
"""How long a stopped pipeline waits for its workers: one may hang in a read of standard input for ever."""


def ordered_map(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    threads: int,
    waiting: int = 2,
    stalling: bool = False,
    watch: Callable[[], None] | None = None,
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` for each item, in order, computed on several threads.

    With one thread, or where there is only one item, everything runs in the caller's thread, unless ``stalling``.

    Parameters
    ----------
    work
        Called from several threads at once.
    items
        Iterated by one thread at a time.
    threads
        Number of worker threads, at least 1.
    waiting
        Results that may wait for their turn, beyond the one that each worker is busy with.
    stalling
        Whether the next item may be long in coming, as from a pipe: the caller then only ever waits for results,
        which an interrupt ends. A thread that is about to read does not notice one before the read is over.
    watch
        Called now and then while no result is ready; what it raises ends the iteration.

    Raises
    ------
    BaseException
        Whatever ``work`` or ``items`` raised first, in the order of the items. Closing the generator stops the
        workers.
    """
    stream = iter(items)
    if not stalling:
        head = list(islice(stream, 2)) if threads > 1 else []
        stream = chain(head, stream)
        if len(head) < 2:
            for item in stream:
                yield work(item)
            return
        del head
    workers = Workers(work, stream, threads=threads, waiting=waiting)
    early: dict[int, Outcome[Result]] = {}
    number = 0
    try:
        for outcome in workers.outcomes(watch):
            early[outcome.number] = outcome
            del outcome
            while (taken := early.pop(number, None)) is not None:
                number += 1
                yield taken.get()
                # Its room is given back after the caller is done with it, so that waiting results stay bounded
                del taken
                workers.give_room()
    finally:
        workers.stop(_STOP_SECONDS)


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What became of an item: the result, or why there is none.

    Attributes
    ----------
    number
        Of the item, from 0.
    """

    number: int
    result: Result | None = None
    failure: BaseException | None = None

    def get(self) -> Result:
        """Return the result, or raise what there is instead."""
        if self.failure is not None:
            raise self.failure
        return cast("Result", self.result)


class Workers(Generic[Item, Result]):
    """Threads that work on the items of a stream; what becomes of them is taken in one thread, the caller's.

    That thread takes no lock of ``threading``, only what is one step for an interrupt. Raised while such a lock is
    taken or given back, ``KeyboardInterrupt`` leaves it locked, and :meth:`stop` would wait for it for ever.

    Parameters
    ----------
    work
        Called from several threads at once.
    items
        Iterated by one thread at a time.
    threads
        Number of threads, at least 1.
    waiting
        Outcomes that may wait to be taken, beyond the one that each thread is busy with.
    """

    def __init__(self, work: Callable[[Item], Result], items: Iterator[Item], *, threads: int, waiting: int) -> None:
        self._work = work
        self._items = items
        self._pull = threading.Lock()
        self._pulled = 0
        self._exhausted = False
        self._stopping = False
        # An entry for each outcome that may be in the making or waiting
        self._room: SimpleQueue[None] = SimpleQueue()
        for _ in range(threads + waiting):
            self.give_room()
        self._outcomes: SimpleQueue[Outcome[Result] | None] = SimpleQueue()
        # Daemons, so that one that hangs in a read of standard input cannot keep the process alive
        self._threads = [
            threading.Thread(target=self._run, name=f"netsieve-worker-{i}", daemon=True) for i in range(threads)
        ]

    def outcomes(self, watch: Callable[[], None] | None = None) -> Iterator[Outcome[Result]]:
        """Start the threads, and yield what becomes of the items, as each is done.

        The caller gives the room of each back.

        Parameters
        ----------
        watch
            Called now and then while nothing is done; what it raises ends the iteration.
        """
        for thread in self._threads:
            thread.start()
        taken = 0
        while not self._exhausted or taken < self._pulled:
            try:
                outcome = self._outcomes.get(timeout=_WATCH_SECONDS)
            except Empty:
                if watch is not None:
                    watch()
                continue
            if outcome is not None:
                taken += 1
                yield outcome
            # Not to be held while the next is awaited
            del outcome

    def give_room(self) -> None:
        """Let one more item be worked on."""
        self._room.put(None)

    def stop(self, seconds: float | None = None) -> list[Outcome[Result]]:
        """Let the threads end, and return what was done and not taken.

        Parameters
        ----------
        seconds
            How long to wait for the threads; by default for ever.
        """
        self._stopping = True
        self.give_room()
        deadline = None if seconds is None else time.monotonic() + seconds
        for thread in self._threads:
            if thread.is_alive():
                thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        left = []
        with suppress(Empty):
            while True:
                left.append(self._outcomes.get_nowait())
        return [outcome for outcome in left if outcome is not None]

    def _run(self) -> None:
        while self._work_on_next():
            pass
        # The others wait for room that nobody would give back any more
        self.give_room()

    def _work_on_next(self) -> bool:
        """Work on the next item; return whether there may be another."""
        self._room.get()
        with self._pull:
            if self._stopping or self._exhausted:
                return False
            number = self._pulled
            try:
                item = next(self._items)
            except StopIteration:
                self._exhausted = True
                self._outcomes.put(None)  # wakes the caller, who may have taken all there is
                return False
            except BaseException as error:
                self._pulled += 1
                self._exhausted = True
                self._outcomes.put(Outcome(number, failure=error))
                return False
            self._pulled += 1
        try:
            outcome = Outcome(number, self._work(item))
        except BaseException as error:
            outcome = Outcome(number, failure=error)
        self._outcomes.put(outcome)
        return outcome.failure is None

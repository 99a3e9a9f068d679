"""Threads that work on the items of a stream, and an ordered map with bounded memory that is made of them.

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
        workers.start()
        while True:
            while number not in early:
                outcome = workers.next_outcome(watch)
                if outcome is None:
                    return
                early[outcome.number] = outcome
                del outcome
            result = early.pop(number).get()
            number += 1
            yield result
            # Its room is given back after the caller is done with it, so that waiting results stay bounded
            del result
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
        if self.failure is None:
            return cast("Result", self.result)
        try:
            raise self.failure
        finally:
            # The failure's traceback holds this frame, which is not to hold the failure
            del self


class Workers(Generic[Item, Result]):
    """Threads that work on the items of a stream; what becomes of them is taken in one thread, the caller's.

    But for starting and joining the threads, the caller's thread takes no lock of ``threading``, only what is one step
    for an interrupt. Raised while such a lock is taken or given back, ``KeyboardInterrupt`` leaves it locked, and
    :meth:`stop` would wait for it for ever.

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
        self._taken = 0
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

    def start(self) -> None:
        """Start the threads; whatever comes of it, :meth:`stop` ends them."""
        for thread in self._threads:
            thread.start()

    def results(self) -> Iterator[Result]:
        """Start the threads, and yield the results as they are done; raise the first failure.

        The room of a result is given back when the caller asks for the next one.
        """
        self.start()
        while True:
            outcome = self.next_outcome()
            if outcome is None:
                return
            try:
                result = outcome.get()
            finally:
                del outcome
            yield result
            del result
            self.give_room()

    def next_outcome(self, watch: Callable[[], None] | None = None) -> Outcome[Result] | None:
        """Wait for what becomes of one more item; None where there is none any more.

        The caller gives its room back (:meth:`give_room`): without that there is an end of items that are worked on.

        Parameters
        ----------
        watch
            Called now and then while nothing is done; what it raises ends the wait.
        """
        while not self._exhausted or self._taken < self._pulled:
            try:
                outcome = self._outcomes.get(timeout=_WATCH_SECONDS)
            except Empty:
                if watch is not None:
                    watch()
                continue
            if outcome is not None:
                self._taken += 1
                return outcome
        return None

    def give_room(self) -> None:
        """Let one more item be worked on."""
        self._room.put(None)

    def stop(self, seconds: float | None = None) -> list[Outcome[Result]]:
        """Let the threads end after the items they are busy with, and return what was done and not taken.

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
        """Work on the next item; return whether there was one."""
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
        # Nothing here keeps a name of the outcome: a failure's traceback holds this frame
        try:
            self._outcomes.put(Outcome(number, self._work(item)))
        except BaseException as error:
            self._outcomes.put(Outcome(number, failure=error))
        return True

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
from itertools import chain, islice
from typing import Final, Generic, TypeVar

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
    pool = _Workers(work, stream, threads, waiting)
    try:
        yield from pool.results(watch or _nothing)
    finally:
        pool.stop()


def _nothing() -> None: ...


class _Workers(Generic[Item, Result]):
    def __init__(self, work: Callable[[Item], Result], items: Iterator[Item], threads: int, waiting: int) -> None:
        self._work = work
        self._items = items
        self._room = threading.Semaphore(threads + waiting)
        self._pull = threading.Lock()
        self._pulled = 0
        self._exhausted = False
        self._changed = threading.Condition()
        self._done: dict[int, Result] = {}
        self._total: int | None = None
        self._failures: dict[int, BaseException] = {}
        self._stopping = threading.Event()
        # Daemons, so that one that hangs in a read of standard input cannot keep the process alive
        self._threads = [
            threading.Thread(target=self._run, name=f"netsieve-worker-{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def results(self, watch: Callable[[], None]) -> Iterator[Result]:
        number = 0
        while True:
            with self._changed:
                while number not in self._done and number not in self._failures and number != self._total:
                    if not self._changed.wait(_WATCH_SECONDS):
                        watch()
                if number == self._total:
                    return
                if number in self._failures:
                    raise self._failures[number]
                result = self._done.pop(number)
            number += 1
            # Its room is given back after the caller is done with it, so that waiting results stay bounded
            yield result
            del result
            self._room.release()

    def stop(self) -> None:
        with self._changed:
            self._stopping.set()
            self._done.clear()
        for _ in self._threads:
            self._room.release()
        deadline = time.monotonic() + _STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while True:
            self._room.acquire()
            with self._pull:
                if self._stopping.is_set() or self._exhausted:
                    break
                number = self._pulled
                try:
                    item = next(self._items)
                except StopIteration:
                    self._exhausted = True
                    with self._changed:
                        self._total = number
                        self._changed.notify()
                    break
                except BaseException as error:
                    self._exhausted = True
                    self._fail(number, error)
                    break
                self._pulled += 1
            try:
                result = self._work(item)
            except BaseException as error:
                self._fail(number, error)
                break
            del item
            with self._changed:
                if self._stopping.is_set():
                    break
                self._done[number] = result
                self._changed.notify()
            del result
        # The others wait for room that nobody would give back any more
        self._room.release()

    def _fail(self, number: int, error: BaseException) -> None:
        with self._changed:
            self._failures[number] = error
            self._changed.notify()

"""The ordered parallel map: order, bounds, failures and stopping."""

import gc
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import Any

import pytest

from netsieve.engine.workers import Workers, ordered_map


@pytest.mark.parametrize("threads", [1, 2, 8])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 500])
def test_results_are_in_order(threads: int, count: int) -> None:
    def work(item: int) -> int:
        if item % 7 == 0:
            time.sleep(0.001)
        return item * item

    assert list(ordered_map(work, range(count), threads=threads)) == [i * i for i in range(count)]


def test_one_item_needs_no_thread() -> None:
    assert list(ordered_map(lambda _: threading.current_thread(), [1], threads=4)) == [threading.main_thread()]


def test_items_that_may_stall_are_never_awaited_by_the_caller() -> None:
    def items() -> Iterator[int]:
        assert threading.current_thread() is not threading.main_thread()
        yield 1

    assert list(ordered_map(lambda item: item, items(), threads=1, stalling=True)) == [1]


def test_items_are_pulled_no_faster_than_results_are_taken() -> None:
    pulled = 0

    def items() -> Iterator[int]:
        nonlocal pulled
        for i in range(1000):
            pulled += 1
            yield i

    ahead = []
    for taken, _ in enumerate(ordered_map(lambda item: item, items(), threads=3, waiting=2)):
        if taken % 50 == 0:
            time.sleep(0.005)
        ahead.append(pulled - taken)
    assert max(ahead) <= 3 + 2 + 1


def test_the_source_is_used_by_one_thread_at_a_time() -> None:
    inside = threading.Lock()

    def items() -> Iterator[int]:
        for i in range(300):
            assert inside.acquire(blocking=False)
            time.sleep(0)
            inside.release()
            yield i

    assert len(list(ordered_map(lambda item: item, items(), threads=6))) == 300


@pytest.mark.parametrize("threads", [1, 4])
def test_the_first_failure_in_order_is_raised_after_what_came_before(threads: int) -> None:
    def work(item: int) -> int:
        if item == 20:
            time.sleep(0.01)
            raise ValueError("first")
        if item > 20:
            raise ValueError("later")
        return item

    taken: list[int] = []
    before = threading.active_count()
    with pytest.raises(ValueError, match="first"):
        iter_into(taken, ordered_map(work, range(100), threads=threads))
    assert taken == list(range(20))
    assert threading.active_count() == before


def iter_into(target: list[int], results: Iterator[int]) -> None:
    # list.extend would also keep what came before a failure, but only in some Python versions
    for result in results:
        target += [result]


@pytest.mark.parametrize("threads", [1, 4])
def test_a_failing_source_is_raised(threads: int) -> None:
    def items() -> Iterator[int]:
        yield from range(10)
        raise KeyboardInterrupt

    taken: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        iter_into(taken, ordered_map(lambda item: item, items(), threads=threads))
    assert taken == list(range(10))


def test_closing_early_stops_the_workers() -> None:
    before = threading.active_count()
    results = ordered_map(lambda item: item, iter(range(10**9)), threads=4)
    assert [next(results) for _ in range(5)] == list(range(5))
    results.close()
    assert threading.active_count() == before


def test_a_hanging_source_does_not_keep_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netsieve.engine.workers._STOP_SECONDS", 0.05)
    hang = threading.Event()

    def items() -> Iterator[int]:
        yield from range(3)
        hang.wait(10)

    results = ordered_map(lambda item: item, items(), threads=2)
    assert next(results) == 0
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 5
    hang.set()


def test_a_watch_ends_a_stalled_iteration() -> None:
    stall = threading.Event()

    def items() -> Iterator[int]:
        yield from range(3)
        stall.wait(10)

    def watch() -> None:
        stall.set()
        raise KeyboardInterrupt

    taken: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        iter_into(taken, ordered_map(lambda item: item, items(), threads=2, watch=watch))
    assert taken == [0, 1, 2]


class Block:
    """Something to hold."""


def test_a_result_is_held_no_longer_than_the_caller_has_it() -> None:
    """Also where results that were early wait behind it."""
    held: list[weakref.ref[Block]] = []

    def work(item: int) -> Block:
        if item == 0:
            time.sleep(0.1)
        return Block()

    results = ordered_map(work, range(20), threads=3, waiting=2)
    for taken in range(20):
        block = next(results)
        if taken:
            assert held[-1]() is None
        held.append(weakref.ref(block))
        del block
    results.close()


@pytest.mark.parametrize("fails_in_source", [False, True])
def test_a_failure_holds_nothing_once_it_is_forgotten(fails_in_source: bool) -> None:
    held = []

    def items() -> Iterator[Block]:
        for _ in range(4):
            block = Block()
            held.append(weakref.ref(block))
            yield block
        raise ValueError("source")

    def work(block: Block) -> Block:
        if not fails_in_source:
            raise ValueError("work")
        return block

    gc.collect()
    gc.disable()
    try:
        with pytest.raises(ValueError, match="source" if fails_in_source else "work"):
            list(ordered_map(work, items(), threads=2))
        assert [block() for block in held] == [None] * len(held)
    finally:
        gc.enable()


def test_workers_go_on_after_failures() -> None:
    def work(item: int) -> int:
        if item % 2:
            raise ValueError(str(item))
        return item

    workers = Workers(work, iter(range(50)), threads=3, waiting=0)
    workers.start()
    found: list[int | str] = []
    while (outcome := workers.next_outcome()) is not None:
        found.append(outcome.number if outcome.failure is None else str(outcome.failure))
        workers.give_room()
    assert sorted(map(int, found)) == list(range(50))
    assert sum(isinstance(value, str) for value in found) == 25
    assert workers.stop() == []


def test_stopping_returns_what_was_not_taken() -> None:
    workers = Workers(lambda item: item, iter(range(50)), threads=1, waiting=2)
    results = workers.results()
    assert next(results) == 0
    left = workers.stop()
    assert [outcome.get() for outcome in left] == list(range(1, 1 + len(left)))
    assert len(left) <= 2


class InterruptedAt:
    """A trace function that raises ``KeyboardInterrupt`` at an instruction of the module, or of ``threading``.

    But not while a thread is started: the interpreter's own lock of all threads would stay locked.
    """

    def __init__(self, instruction: int) -> None:
        self.left = instruction

    def __call__(self, frame: FrameType, event: str, _argument: Any) -> Any:
        if not frame.f_code.co_filename.endswith(("/workers.py", "/threading.py")) or starts_thread(frame):
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
        return self


def starts_thread(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is threading.Thread.start.__code__:
            return True
        frame = frame.f_back
    return False


def test_an_interrupt_at_any_instruction_ends_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller never waits for a lock that it left locked itself."""
    monkeypatch.setattr("netsieve.engine.workers._STOP_SECONDS", 0.05)
    instruction, interrupted = 1, True

    def take_all() -> None:
        nonlocal interrupted
        sys.settrace(InterruptedAt(instruction))
        try:
            for _ in ordered_map(lambda item: item, range(4), threads=2):
                pass
            interrupted = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)

    while interrupted:
        caller = threading.Thread(target=take_all, daemon=True)
        caller.start()
        caller.join(10)
        assert not caller.is_alive(), instruction
        instruction += 1
    assert instruction > 500

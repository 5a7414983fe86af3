"""Groups of equal size, and worker threads."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial

import pytest
import torch

from scenekit.model.pipeline import grouped, overlapped, workers

CPU = torch.device("cpu")
NAME = "scenekit"
SETTING: ContextVar[str] = ContextVar("setting", default="unset")


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(NAME)]


def groups_of(sizes: str, count: int, ahead: int) -> list[str]:
    """Groups of letters that are their own size, as text; a dot has none."""
    return ["".join(group) for group in grouped(sizes, lambda one: None if one == "." else one, count, ahead)]


@pytest.mark.parametrize(
    ("sizes", "count", "ahead", "expected"),
    [
        ("", 2, 8, []),
        ("abaabc", 1, 8, ["a", "b", "a", "a", "b", "c"]),
        ("abaabc", 2, 8, ["aa", "bb", "a", "c"]),
        ("aaaaa", 3, 8, ["aaa", "aa"]),
        ("a.ba.", 2, 8, [".", "aa", ".", "b"]),
        ("abbbbb", 2, 3, ["bb", "a", "bb", "b"]),  # `a` has waited for three others
        ("abcdeabcde", 2, 4, ["a", "b", "c", "d", "e", "a", "b", "c", "d", "e"]),
        ("abcdeabcde", 2, 5, ["aa", "bb", "cc", "dd", "ee"]),
    ],
)
def test_groups_are_of_equal_size(sizes: str, count: int, ahead: int, expected: list[str]) -> None:
    assert groups_of(sizes, count, ahead) == expected


def test_no_item_waits_for_more_than_its_share() -> None:
    sizes = torch.randint(0, 7, (300,), generator=torch.Generator().manual_seed(0)).tolist()
    taken: list[int] = []

    def items() -> Iterator[tuple[int, int]]:
        for numbered in enumerate(sizes):
            taken.append(numbered[0])
            yield numbered

    found = [(group, len(taken)) for group in grouped(items(), lambda item: item[1], 4, 12)]
    assert sorted(number for group, _ in found for number, _ in group) == list(range(300))
    assert all(len({size for _, size in group}) == 1 for group, _ in found)
    assert max(so_far - 1 - number for group, so_far in found for number, _ in group) == 12


def test_results_are_in_order_and_calls_are_taken_a_few_ahead() -> None:
    taken: list[int] = []
    threads = set()

    def call(number: int) -> int:
        threads.add(threading.current_thread())
        return number * number

    def calls() -> Iterator[Callable[[], int]]:
        for number in range(6):
            assert threading.current_thread() is threading.main_thread()
            taken.append(number)
            yield partial(call, number)

    with workers(1, CPU) as (worker,):
        results = overlapped(calls(), worker, ahead=2)
        assert taken == []
        assert next(results) == 0 and taken == [0, 1, 2]
        assert list(results) == [1, 4, 9, 16, 25]
        assert threads == set(running())
    assert running() == []
    taken.clear()
    assert next(overlapped(calls(), None)) == 0 and taken == [0] and threading.main_thread() in threads


def test_the_worker_works_while_the_next_call_is_being_made() -> None:
    """Making the second call waits for the first one to run, which without a thread would never be."""
    began = threading.Event()

    def calls() -> Iterator[Callable[[], None]]:
        yield began.set
        assert began.wait(timeout=60)
        yield began.clear

    with workers(1, CPU) as (worker,):
        assert list(overlapped(calls(), worker)) == [None, None]


def test_an_error_is_raised_where_the_result_is_due() -> None:
    def failing() -> int:
        raise RuntimeError("no result")

    with workers(1, CPU) as (worker,):
        results = overlapped([lambda: 1, failing, lambda: 3], worker)
        assert next(results) == 1
        with pytest.raises(RuntimeError, match="no result"):
            next(results)
    assert running() == []


@pytest.mark.parametrize("count", [0, 1])
def test_what_a_call_holds_is_freed_before_the_next_one_is_made(count: int) -> None:
    class Held:
        pass

    def call(freed: threading.Event) -> Callable[[], int]:
        held = Held()
        weakref.finalize(held, freed.set)
        return partial(id, held)

    def calls() -> Iterator[Callable[[], int]]:
        for freed in (threading.Event(), threading.Event()):
            yield call(freed)
            assert freed.wait(timeout=10)

    with workers(count, CPU) as started:
        assert len(list(overlapped(calls(), started[0] if started else None))) == 2


def test_what_is_not_asked_for_is_dropped() -> None:
    """The call that is running ends; those behind it never run."""
    began, release = threading.Event(), threading.Event()
    ran: list[int] = []

    def slow() -> None:
        began.set()
        assert release.wait(timeout=60)

    with pytest.raises(KeyboardInterrupt), workers(1, CPU) as (worker,):
        worker.submit(slow)
        later = worker.submit(partial(ran.append, 1))
        assert began.wait(timeout=60)
        threading.Timer(0.05, release.set).start()
        raise KeyboardInterrupt
    assert running() == [] and later.cancelled() and ran == []


def test_a_worker_has_the_surroundings_of_the_thread_that_submits() -> None:
    def here() -> tuple[bool, bool, torch.dtype, str]:
        inference, autocast = torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
        return inference, autocast, torch.get_autocast_dtype("cpu"), SETTING.get()

    with workers(1, CPU) as (worker,):
        outside = here()
        token = SETTING.set("chosen")
        with torch.inference_mode(), torch.autocast("cpu", torch.float16):
            assert worker.submit(here).result() == here() == (True, True, torch.float16, "chosen")
        SETTING.reset(token)
        assert worker.submit(here).result() == here() == outside

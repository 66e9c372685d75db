"""Work beside the caller: many tasks at a time, and what they make handed over as it comes."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
from typing import NamedTuple, TypeVar

from benchmarks.base import PlumblineError

T = TypeVar("T")


class _End(NamedTuple):
    error: BaseException | None


def pump(work: Callable[[Callable[[T], None]], Awaitable[None]]) -> Generator[list[T], None, None]:
    """Run ``work(put)`` in an event loop of its own and yield what it puts, as it comes.

    The loop goes on while the caller is busy with what it got. Leaving the iteration early cancels
    the work; an error in the work is raised here, after everything that was put before it.
    """
    results: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    loop = asyncio.new_event_loop()
    task = loop.create_task(_work(work, results))

    def run() -> None:
        try:
            loop.run_until_complete(task)
        except BaseException as error:  # whatever ends the work ends the caller's iteration too
            results.put(_End(error))
        else:
            results.put(_End(None))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    thread = threading.Thread(target=run, name="endpoint", daemon=True)
    thread.start()
    try:
        yield from _drain(results)
    finally:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the work has ended by itself
            loop.call_soon_threadsafe(task.cancel)
        thread.join()


async def _work(
    work: Callable[[Callable[[T], None]], Awaitable[None]], results: queue.SimpleQueue[T | _End]
) -> None:
    await work(results.put)


def _drain(results: queue.SimpleQueue[T | _End]) -> Iterator[list[T]]:
    while True:
        came = [results.get()]
        with contextlib.suppress(queue.Empty):
            while not isinstance(came[-1], _End):
                came.append(results.get_nowait())
        end = came.pop() if isinstance(came[-1], _End) else None
        if came:
            yield [result for result in came if not isinstance(result, _End)]
        if isinstance(end, _End):
            if end.error is not None:
                raise end.error
            return


async def side_by_side(
    items: Iterable[T], n_workers: int, handle: Callable[[T], Awaitable[None]]
) -> None:
    """Handle items, ``n_workers`` at a time.

    A PlumblineError ends it, but what is under way is finished before it is raised.
    """
    left = iter(items)
    stopped: list[PlumblineError] = []

    async def worker() -> None:
        for item in left:
            try:
                await handle(item)
            except PlumblineError as error:
                stopped.append(error)
            if stopped:
                return

    try:
        async with asyncio.TaskGroup() as workers:
            for _ in range(n_workers):
                workers.create_task(worker())
    except ExceptionGroup as group:  # a fault in our own code: the first one tells enough
        raise group.exceptions[0] from None
    if stopped:
        raise stopped[0]

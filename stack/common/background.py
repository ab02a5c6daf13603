"""Work beside the requests: tasks that live as long as the application, and blocking work in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


@contextlib.asynccontextmanager
async def running(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines as tasks inside the block; at its end they are cancelled and waited for."""
    tasks = [asyncio.create_task(each) for each in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_thread(function: Callable[[], T]) -> T:
    """Call `function` in a daemon thread and return what it returns, or raise what it raises.

    Unlike `asyncio.to_thread`, nothing waits for the thread when the loop ends, so that a service can stop while its model loads.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        def unless_cancelled() -> None:
            if not future.done():
                act()

        # The loop may be closed by now: then nobody wants the outcome.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(unless_cancelled)

    def work() -> None:
        try:
            outcome = function()
        except Exception as error:
            failure = error
            settle(lambda: future.set_exception(failure))
        else:
            settle(lambda: future.set_result(outcome))

    threading.Thread(target=work, daemon=True).start()
    return await future

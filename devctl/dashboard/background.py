"""Blocking work beside the event loop, in threads that nobody has to wait for."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(function: Callable[[], T]) -> T:
    """Calls `function` in a daemon thread and gives what it gives, or raises what it raises.

    Unlike with `asyncio.to_thread`, neither the loop's end nor the interpreter's waits for it: a supervisor or a file system
    that hangs must not keep the dashboard from closing. When the caller is cancelled, the thread goes on, and what it gives
    is dropped.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def settle(act: Callable[[], None]) -> None:
        def unless_done() -> None:
            if not future.done():
                act()

        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(unless_done)

    def work() -> None:
        try:
            outcome = function()
        except Exception as error:
            failure = error
            settle(lambda: future.set_exception(failure))
        else:
            settle(lambda: future.set_result(outcome))

    threading.Thread(target=work, daemon=True, name="dashboard-call").start()
    return await future

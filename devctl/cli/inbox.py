"""Everything a foreground command listens to, in one queue: log records, events, signals, finished work.

Threads only fetch; all decisions and all output are the main thread's.
"""

from __future__ import annotations

import os
import queue
import select
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from devctl.errors import DevctlError

if TYPE_CHECKING:
    from devctl.logs.record import Record

# Batches of log records read ahead of the printing, at most 1 MiB each. The files keep what is not read yet.
READ_AHEAD = 4
DRAIN_LOOK = 0.02  # seconds between looks whether the reader of the logs is through, while it gives nothing


@dataclass(frozen=True, slots=True)
class Signalled:
    """A signal arrived."""

    number: int


@dataclass(frozen=True, slots=True)
class Happened:
    """The supervisor reported an event (Event.json())."""

    event: dict[str, Any]


@dataclass(frozen=True, slots=True)
class EventsEnded:
    """No more events: the supervisor has ended in order (`error` None) or is gone."""

    error: DevctlError | None


@dataclass(frozen=True, slots=True)
class ReaderGone:
    """Nobody reads our output any more."""


@dataclass(frozen=True, slots=True)
class Finished:
    """Work given to `Inbox.work` is done: with a result, or an error."""

    label: str
    result: Any
    error: Exception | None


Message = Signalled | Happened | EventsEnded | ReaderGone | Finished


class Inbox:
    """The queue and the threads that feed it. They are daemons: none of them keeps the process alive."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Message | list[Record]] = queue.SimpleQueue()
        self._room = threading.Semaphore(READ_AHEAD)
        self._log_thread: threading.Thread | None = None
        self._stop_read, self._stop_write = os.pipe()

    def catch(self, *signals: signal.Signals, at_once: Mapping[int, Callable[[], Any]] | None = None) -> None:
        """These signals become messages from now on; those of `at_once` call their function, in a thread.

        A Python handler runs in the main thread only, and not before that wakes: a signal that arrives just before it falls asleep
        on the queue would wait for the next message. The wake-up descriptor is written by the C handler itself.
        """
        calls = dict(at_once or {})
        read, write = os.pipe()
        os.set_blocking(write, False)

        def listen() -> None:
            while numbers := os.read(read, 64):
                for number in numbers:
                    if number in calls:
                        calls[number]()
                    elif number in signals:
                        self._queue.put(Signalled(number))

        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in (*signals, *calls):
            signal.signal(number, lambda *_: None)
        threading.Thread(target=listen, daemon=True, name="signals").start()

    def events(self, source: Iterable[dict[str, Any]]) -> None:
        """Reads events until they end."""

        def fetch() -> None:
            error: DevctlError | None = None
            try:
                for event in source:
                    self._queue.put(Happened(event))
            except DevctlError as caught:
                error = caught
            self._queue.put(EventsEnded(error))

        threading.Thread(target=fetch, daemon=True, name="events").start()

    def logs(self, follow: Callable[[int], Iterable[list[Record]]]) -> None:
        """Reads records. `follow` gets a descriptor that becomes readable when it is to end, after what is there by then."""

        def fetch() -> None:
            for batch in follow(self._stop_read):
                if batch:
                    self._room.acquire()
                    self._queue.put(batch)

        self._log_thread = threading.Thread(target=fetch, daemon=True, name="logs")
        self._log_thread.start()

    def reader(self, pipe: int) -> None:
        """Watches the writing end of a pipe for the end of its reader."""

        def watch() -> None:
            poller = select.poll()
            poller.register(pipe, 0)  # POLLERR comes unasked
            poller.poll()
            self._queue.put(ReaderGone())

        threading.Thread(target=watch, daemon=True, name="reader").start()

    def work(self, label: str, what: Callable[[], Any]) -> None:
        """Does something slow in a thread; a Finished with this label follows."""

        def do() -> None:
            try:
                self._queue.put(Finished(label, what(), None))
            except Exception as error:
                self._queue.put(Finished(label, None, error))

        threading.Thread(target=do, daemon=True, name=label).start()

    def receive(self, timeout: float | None) -> Message | list[Record] | None:
        """The next message or batch of records; None after `timeout` seconds without any."""
        try:
            item = self._queue.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(item, list):
            self._room.release()
        return item

    def last_records(self) -> Iterator[list[Record]]:
        """Stops reading logs, and gives what there is until the files' ends. Messages that come meanwhile are dropped."""
        if self._log_thread is None:
            return
        os.write(self._stop_write, b"x")
        while True:
            finished = not self._log_thread.is_alive()
            item = self.receive(0 if finished else DRAIN_LOOK)
            if isinstance(item, list):
                yield item
            elif item is None and finished:
                return

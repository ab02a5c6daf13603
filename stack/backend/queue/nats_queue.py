"""The queue on NATS JetStream: tasks outlive this process and the server, and several backends share them.

The loop connects, publishes again what the store holds unfinished, and asks for as many messages as there are free places.
A message beyond that, an answer to a request that was given up, is put off with a NAK. One is acknowledged only when its outcome
is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Coroutine
from typing import Any
from urllib.parse import urlsplit

from nats.aio.msg import Msg

from stack.backend.queue.memory_queue import PAGE, STORE_WAIT
from stack.backend.queue.nats_session import (
    DEAD_SUBJECT,
    FAILURES,
    PULL_EXPIRY,
    SUBJECT,
    Session,
    reason,
)
from stack.backend.queue.tasks import ACK_WAIT, QueueGone, StoreGone, Task, TaskRecord, TaskStore
from stack.backend.queue.worker import ATTEMPT_TIMEOUT, BUSY_DELAY, Again, Worker
from stack.common.log import Log

log = Log("stack.backend.queue.nats")

# Seconds between two attempts to connect: a restarted server is in use again before anybody asks.
RECONNECT = 0.25

# Seconds after which a task is published anew that waits while the server has nothing to deliver. Longer than any delay between two
# attempts and than a lost acknowledgement takes.
FORGOTTEN = 30.0

# Seconds: a session that ends sooner makes the wait for the next one twice as long, up to the second number.
_SHORT = 1.0
_LONGEST = 5.0

# Seconds until a message is delivered again that came while all places were taken.
NAK_DELAY = 0.5


class NatsQueue:
    """Works on what the stream delivers.

    Args:
        url: of the server.
        worker: works on each task.
        store: what is unfinished there is published again after each connect.
        limit: how many at a time.
        ack_wait: seconds until a message that nobody works on is delivered again.
    """

    def __init__(self, url: str, worker: Worker, store: TaskStore, limit: int, ack_wait: float = ACK_WAIT) -> None:
        self._url = url
        self._worker = worker
        self._store = store
        self._limit = limit
        self._ack_wait = ack_wait
        self._session: Session | None = None
        self._problem = "not connected yet"
        # By task id: the newest address for saying what becomes of its message, and who works on it.
        self._replies: dict[str, str] = {}
        self._work: dict[str, asyncio.Task[None]] = {}
        # Short answers on their way; held here because the event loop does not hold its tasks.
        self._small: set[asyncio.Task[None]] = set()
        # Messages asked for: when each request ends, and how many of it are still to come.
        self._asked: list[tuple[float, int]] = []
        self._wake = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self._stopping = False

    @property
    def available(self) -> bool:
        """Whether tasks can be accepted now."""
        return self._session is not None and self._session.alive and not self._stopping

    @property
    def server(self) -> str:
        """Where the server is; without the password that its URL may hold."""
        parts = urlsplit(self._url)
        return f"{parts.hostname}:{parts.port or 4222}"

    def detail(self) -> str:
        """For people, one phrase."""
        return f"NATS at {self.server}" if self.available else f"NATS at {self.server}: {self._problem}"

    async def connect(self) -> Session:
        """A session, ready for use. Raises QueueGone when there is no server, or none with JetStream."""
        try:
            return await self._connect()
        except FAILURES as error:
            raise QueueGone(reason(error)) from error

    async def _connect(self) -> Session:
        session = await Session.open(self._url, self._ack_wait)
        try:
            await session.prepare(self._deliver)
        except BaseException:
            await session.close()
            raise
        return session

    async def info(self) -> dict[str, Any] | None:
        """What the server says of its messages; None while it is away."""
        with contextlib.suppress(*FAILURES):
            if session := self._session:
                return await session.info()
        return None

    async def start(self, session: Session) -> None:
        """Begin to work, through `session` first, and through others when it is lost."""
        self._begin(session)
        self._loops = [asyncio.create_task(self._live(session)), asyncio.create_task(self._keep_alive())]

    async def stop(self, patience: float) -> None:
        """End it; what is worked on gets `patience` seconds, and is put back then."""
        self._stopping = True
        session = self._session
        if session is not None:
            # Before anything is put back: it would be delivered here again.
            await session.deafen()
        if self._work:
            await asyncio.wait(self._work.values(), timeout=patience)
        await _cancel(list(self._work.values()))
        await asyncio.gather(*self._small, return_exceptions=True)
        await _cancel(self._loops)
        if session is not None:
            await session.close()

    async def submit(self, task: Task) -> None:
        """Publish a task that the store holds already.

        A failure here is none for the task: the next session publishes it from the store.
        """
        session = self._session
        if session is None:
            return
        try:
            await session.publish(SUBJECT, task.payload(), task.id)
        except FAILURES as error:
            log.warning("A task could not be published; it is published again", task=task.id, reason=reason(error))
            session.give_up(reason(error))

    async def _live(self, first: Session) -> None:
        """Session after session, for ever."""
        session: Session | None = first
        delay = RECONNECT
        while True:
            began = time.monotonic()
            try:
                session = session or await self._connect()
                await self._use(session)
            except FAILURES as error:
                self._note(reason(error))
            except Exception as error:
                # Nothing that a server sends may end the loop that would notice its recovery.
                log.error("The queue's connection failed", exc_info=error)
                self._note(reason(error))
            finally:
                self._session = None
                if session is not None and not self._stopping:
                    session.give_up(self._problem)
                    await session.close()
            # Only for a server that lets in and then refuses (its disk is full): the fewer lines it makes in the log, the better.
            short = session is not None and time.monotonic() - began < _SHORT
            delay = min(delay * 2, _LONGEST) if short else RECONNECT
            session = None
            await asyncio.sleep(delay)

    async def _use(self, session: Session) -> None:
        """Use a session until it is lost."""
        self._begin(session)
        published = asyncio.create_task(self._fill(session))
        try:
            await self._pull(session)
        finally:
            await _cancel([published])
        self._note(session.trouble)

    def _begin(self, session: Session) -> None:
        if self._session is not session:
            self._session = session
            self._asked.clear()
            log.info("[OK] NATS connected", server=self.server)

    async def _pull(self, session: Session) -> None:
        lost = asyncio.create_task(session.lost.wait())
        try:
            while not session.lost.is_set():
                self._wake.clear()
                now = asyncio.get_running_loop().time()
                self._asked = [(end, count) for end, count in self._asked if end > now and count > 0]
                free = self._limit - len(self._work) - sum(count for _, count in self._asked)
                if free > 0 and not self._stopping:
                    self._asked.append((now + PULL_EXPIRY, free))
                    await session.pull(free)
                wake = asyncio.create_task(self._wake.wait())
                ends = min((end for end, _ in self._asked), default=now + PULL_EXPIRY)
                await asyncio.wait((lost, wake), timeout=ends - now, return_when=asyncio.FIRST_COMPLETED)
                wake.cancel()
        finally:
            lost.cancel()

    def _deliver(self, message: Msg) -> None:
        """Begin to work on a message, or put it off."""
        if self._asked:
            end, count = self._asked[0]
            self._asked[0:1] = [(end, count - 1)] if count > 1 else []
        try:
            task = Task.from_payload(message.data)
        except ValueError as error:
            log.error("A message holds no task", reason=str(error)[:200])
            self._wake.set()
            self._aside(self._bury(message.data, f"unusable-{message.metadata.sequence.stream}", message.reply))
            return
        if task.id in self._work:
            # The same task again: the connection that brought it was lost, or its time was up. It is answered through this one.
            self._replies[task.id] = message.reply
            self._wake.set()
        elif self._stopping or len(self._work) >= self._limit:
            self._wake.set()
            self._aside(self._say(message.reply, b"-NAK", NAK_DELAY))
        else:
            self._replies[task.id] = message.reply
            self._work[task.id] = asyncio.create_task(self._handle(task))

    async def _handle(self, task: Task) -> None:
        try:
            outcome = await self._worker.work(task.id)
            if outcome is None:
                # From elsewhere, or from before the store lost it: the stream holds it, so it was accepted.
                await self._store.put_queued(task)
                outcome = await self._worker.work(task.id)
            reply = self._replies[task.id]
            if outcome is None or isinstance(outcome, Again):
                await self._say(reply, b"-NAK", outcome.delay if outcome else BUSY_DELAY)
            elif outcome.record.state == "dead":
                await self._bury(task.payload(), f"dead-{task.id}", reply)
            else:
                await self._say(reply, b"+ACK")
        except StoreGone:
            await self._say(self._replies[task.id], b"-NAK", BUSY_DELAY)
        except asyncio.CancelledError:
            # Not at once: nats-server 2.9 may deliver it to this connection still, though nobody listens there any more.
            await self._say(self._replies[task.id], b"-NAK", NAK_DELAY)
            raise
        except Exception as error:
            # Not acknowledged: it comes again.
            log.error("A task failed in the queue", task=task.id, exc_info=error)
        finally:
            del self._work[task.id], self._replies[task.id]
            self._wake.set()

    async def _bury(self, payload: bytes, message_id: str, reply: str) -> None:
        """Move a message to the dead letters. One that cannot be moved stays, and comes again."""
        if session := self._session:
            with contextlib.suppress(*FAILURES):
                await session.publish(DEAD_SUBJECT, payload, message_id)
                await session.answer(reply, b"+ACK")

    async def _say(self, reply: str, verb: bytes, delay: float | None = None) -> None:
        if session := self._session:
            await session.answer(reply, verb, delay)

    async def _keep_alive(self) -> None:
        """Tell the server that the messages in work still are, well before it would deliver them again; and see that it listens.

        Every now and then, when it has nothing for us, see whether it should: somebody may have emptied the stream.
        """
        looked = time.monotonic()
        while True:
            await asyncio.sleep(self._ack_wait / 5)
            if (session := self._session) is None:
                continue
            for reply in list(self._replies.values()):
                await session.answer(reply, b"+WPI")
            try:
                if await session.undelivered() or len(self._work) >= self._limit or time.monotonic() < looked + FORGOTTEN:
                    continue
                looked = time.monotonic()
                await self._publish_unfinished(session, FORGOTTEN)
            except StoreGone:
                continue
            except FAILURES as error:
                session.give_up(reason(error))
            except Exception as error:
                # Without this loop every message would come again and again.
                log.error("Looking after the queue failed", exc_info=error)

    async def _fill(self, session: Session) -> None:
        while True:
            try:
                await self._publish_unfinished(session)
                return
            except StoreGone:
                await asyncio.sleep(STORE_WAIT)

    async def _publish_unfinished(self, session: Session, idle: float = 0.0) -> None:
        """Publish again what the store holds unfinished: what could not be published, or what a server lost with its disk.

        Args:
            idle: seconds; only tasks to which nothing has happened for as long, and which are nowhere in work.

        Raises:
            StoreGone: the rest has to be published later.
        """
        # What the server is known not to have it must not take for a copy of what it had.
        mark = f"-{uuid.uuid4().hex}" if idle else ""
        last: Task | None = None
        count = 0
        while True:
            page = await self._store.unfinished(last, PAGE)
            if not page:
                break
            try:
                waiting = [record.task for record in page if record.task.id not in self._work and _is_idle(record, idle)]
                await asyncio.gather(*(session.publish(SUBJECT, task.payload(), task.id + mark) for task in waiting))
            except FAILURES as error:
                session.give_up(reason(error))
                return
            last, count = page[-1].task, count + len(waiting)
        if count:
            log.info("Published unfinished tasks again", tasks=count)

    def _aside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._small.add(task)
        task.add_done_callback(self._small.discard)

    def _note(self, problem: str) -> None:
        """Remember what is wrong, and say it when it is news."""
        if self._stopping:
            return
        if self._session is not None or problem != self._problem:
            log.warning("[WARN] NATS cannot be used", server=self.server, reason=problem)
        self._problem = problem


def _is_idle(record: TaskRecord, seconds: float) -> bool:
    # One that another backend works on is left to it for as long as an attempt may take.
    limit = seconds + ATTEMPT_TIMEOUT if record.state == "running" else seconds
    return not seconds or record.updated_at < time.time() - limit


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

"""One connection to a NATS server with JetStream, from its beginning to its loss.

A lost connection is not mended: the next one is a new session, which begins with nothing in its buffers and nothing to remember.
What was under way in the old one is delivered again, and the store knows what has been done by then.

Sources: the JetStream API of nats-server 2.9 (docs.nats.io, "JetStream wire API reference"), ADR-13 for pull requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Callable
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js import api
from nats.js.errors import APIError, NotFoundError

from stack.backend.queue.tasks import ACK_WAIT
from stack.common.log import Log

log = Log("stack.backend.queue.nats")

STREAM = "LLM"
SUBJECT = "llm.request"
CONSUMER = "llm-workers"
DEAD_STREAM = "LLM_DEAD"
DEAD_SUBJECT = "llm.dead"

# Seconds in which the server drops a message whose id it has seen.
_DUPLICATE_WINDOW = 120.0

# Dead letters are for people to look at: a week of them, and not more than fit on a screen of any kind.
_DEAD_AGE = 7 * 24 * 3600.0
_DEAD_MESSAGES = 10_000

# Seconds for connecting, and for each answer of the server. On one machine it takes a millisecond.
TIMEOUT = 2.0

# Seconds for taking leave of the server, twice, within the two that a component has to stop.
_LEAVE = 0.4

# Seconds after which a pull request ends at the server, and is made again.
PULL_EXPIRY = 30.0

# What nats-py calls errors of its own, and what its sockets raise.
FAILURES = (nats.errors.Error, OSError, TimeoutError)


class _Client(Client):
    """A client that tells of its end.

    nats-py first writes what is left to the lost connection, and when that fails, never gets to its own callbacks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lost = asyncio.Event()

    async def _process_op_err(self, e: Exception) -> None:
        with contextlib.suppress(OSError):
            await super()._process_op_err(e)
        self.lost.set()


class Session:
    """A connection that is in use.

    Args:
        client: connected.
        ack_wait: seconds until an unacknowledged message is delivered again.
    """

    def __init__(self, client: _Client, ack_wait: float) -> None:
        self._client = client
        self._stream = client.jetstream(timeout=TIMEOUT)
        self._ack_wait = ack_wait
        self._inbox = client.new_inbox()
        self._messages: Subscription | None = None
        self.lost = client.lost
        self._trouble = ""

    @classmethod
    async def open(cls, url: str, ack_wait: float = ACK_WAIT) -> Session:
        """Connect.

        Raises:
            FAILURES: it cannot be reached, or is no NATS server.
        """
        client = _Client()
        causes: list[Exception] = []

        async def failed(error: Exception) -> None:
            causes[:] = [error]
            log.debug("The connection to NATS reports an error", reason=reason(error))

        try:
            async with asyncio.timeout(TIMEOUT):
                await client.connect(
                    url,
                    name="assistant-backend",
                    allow_reconnect=False,
                    # Even so, nats-py tries the first time again and again: two attempts then (0 would mean for ever).
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=math.ceil(TIMEOUT),
                    # A server that hangs, or a cable that was pulled, is found out within 15 s.
                    ping_interval=5,
                    error_cb=failed,
                )
        except (*FAILURES, ValueError, EOFError) as error:
            # ValueError and EOFError are what nats-py lets through when the other side speaks something else.
            with contextlib.suppress(*FAILURES, AssertionError):
                await client.close()
            raise ConnectionError(reason(causes[-1] if causes else error)) from error
        return cls(client, ack_wait)

    @property
    def trouble(self) -> str:
        """Why it was lost, for people."""
        return self._trouble or "the connection was lost"

    def give_up(self, trouble: str) -> None:
        """Call it lost, though the connection may still be there."""
        self._trouble = self._trouble or trouble
        self.lost.set()

    @property
    def alive(self) -> bool:
        """Whether it can be used still, as far as one knows."""
        return not self.lost.is_set() and self._client.is_connected

    async def prepare(self, on_message: Callable[[Msg], None]) -> None:
        """Make the streams and the consumer, or leave them when they are there, and listen for pulled messages.

        Raises:
            FAILURES: JetStream is not there, or refuses.
        """
        work = api.StreamConfig(
            name=STREAM,
            subjects=[SUBJECT],
            retention=api.RetentionPolicy.WORK_QUEUE,
            storage=api.StorageType.FILE,
            duplicate_window=_DUPLICATE_WINDOW,
        )
        dead = api.StreamConfig(
            name=DEAD_STREAM,
            subjects=[DEAD_SUBJECT],
            storage=api.StorageType.FILE,
            max_age=_DEAD_AGE,
            max_msgs=_DEAD_MESSAGES,
            duplicate_window=_DUPLICATE_WINDOW,
        )
        for config in (work, dead):
            assert config.name is not None
            try:
                await self._stream.stream_info(config.name)
            except NotFoundError:
                await self._stream.add_stream(config)
        run = self._server_run()
        consumer = api.ConsumerConfig(
            durable_name=CONSUMER,
            description=run,
            ack_policy=api.AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait,
            filter_subject=SUBJECT,
            # The store counts the attempts: a message put off because all places are taken must not wear itself out.
            max_deliver=-1,
            # Pull requests bound what is under way.
            max_ack_pending=-1,
        )
        # After a SIGKILL, nats-server 2.9 may take messages for acknowledged that are not. A new consumer begins with everything
        # that the stream still holds: each run of the server gets its own.
        with contextlib.suppress(NotFoundError):
            if (await self._stream.consumer_info(STREAM, CONSUMER)).config.description != run:
                await self._stream.delete_consumer(STREAM, CONSUMER)
        await self._stream.add_consumer(STREAM, consumer)

        async def received(message: Msg) -> None:
            status = (message.headers or {}).get("Status", "")
            if not status:
                on_message(message)
            elif status not in ("404", "408", "100"):
                # 404 and 408 end a pull request that found nothing. The rest: the consumer is gone, or the server is leaving.
                self.give_up(f"{status} {(message.headers or {}).get('Description', '')}".strip())

        self._messages = await self._client.subscribe(self._inbox, cb=received)

    def _server_run(self) -> str:
        """Which run of the server this is; empty for a cluster, which has no single one and keeps its state by consensus."""
        info = self._client._server_info
        return "" if info.get("cluster") else str(info.get("server_id", ""))

    async def deafen(self) -> None:
        """Let nothing more be delivered here; what has come already is handed on first."""
        if self._messages is not None:
            with contextlib.suppress(*FAILURES):
                async with asyncio.timeout(_LEAVE):
                    await self._messages.drain()  # type: ignore[no-untyped-call]

    async def pull(self, count: int) -> None:
        """Ask for `count` messages; they come when there are any."""
        request = {"batch": count, "expires": int(PULL_EXPIRY * 1e9)}
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}"
        await self._client.publish(subject, json.dumps(request).encode(), reply=self._inbox)

    async def publish(self, subject: str, payload: bytes, message_id: str) -> None:
        """Store a message at the server; one with the same id within two minutes is dropped there.

        Raises:
            FAILURES: it is not known to be stored.
        """
        published = asyncio.ensure_future(self._stream.publish(subject, payload, headers={"Nats-Msg-Id": message_id}))
        lost = asyncio.ensure_future(self.lost.wait())
        try:
            # Whoever asks learns of a lost connection at once, not when the time is up.
            await asyncio.wait((published, lost), return_when=asyncio.FIRST_COMPLETED)
            if not published.done():
                raise ConnectionError("the connection was lost")
            await published
        except nats.errors.MaxPayloadError as error:
            raise ConnectionError(str(error)) from error
        finally:
            for each in (published, lost):
                each.cancel()
            await asyncio.gather(published, lost, return_exceptions=True)

    async def answer(self, reply: str, verb: bytes, delay: float | None = None) -> None:
        """Say what became of a message: `+ACK`, `-NAK` (again after `delay` seconds), `+WPI` (still at it), `+TERM`.

        The server may have delivered it through an earlier session. One that cannot be said now is left: the message comes again.
        """
        if delay is not None:
            verb += b" " + json.dumps({"delay": int(delay * 1e9)}).encode()
        with contextlib.suppress(*FAILURES):
            await self._client.publish(reply, verb)

    async def undelivered(self) -> int:
        """How many messages nobody has been given yet. Asked for to see that the consumer is there, too: the server says nothing to
        those who ask for messages of one that was deleted.

        Raises:
            FAILURES: it is not there, or the server does not answer.
        """
        return (await self._stream.consumer_info(STREAM, CONSUMER)).num_pending or 0

    async def info(self) -> dict[str, Any]:
        """What the server says of the queue: messages stored, delivered and not acknowledged yet, dead."""
        consumer = await self._stream.consumer_info(STREAM, CONSUMER)
        dead = await self._stream.stream_info(DEAD_STREAM)
        return {
            "pending": consumer.num_pending or 0,
            "unacknowledged": consumer.num_ack_pending or 0,
            "dead_letters": dead.state.messages,
        }

    async def close(self) -> None:
        """End the connection; what was written before goes out first."""
        with contextlib.suppress(*FAILURES):
            async with asyncio.timeout(_LEAVE):
                if self._client.is_connected:
                    await self._client.flush()
                await self._client.close()


def reason(error: BaseException) -> str:
    """An error as one phrase."""
    if isinstance(error, APIError):
        return error.description or f"error {error.code}"
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} s"
    return (getattr(error, "strerror", None) or str(error).removeprefix("nats: ") or type(error).__name__)[:200]

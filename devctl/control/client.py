"""Talking to a running supervisor, with nothing but the standard library.

Every request has a connection of its own, so a client can be used by several threads at once.
"""

from __future__ import annotations

import json
import os
import time
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from devctl.control import sse
from devctl.control.http1 import Exchange, ProtocolError, connect, query, quote
from devctl.control.problems import restore
from devctl.errors import ControlError, NotRunning
from devctl.process import lock

if TYPE_CHECKING:
    import socket
    from pathlib import Path

TIMEOUT = 10.0  # an answer about what is takes milliseconds; so long without one, the supervisor is stuck
# Stopping waits for grace periods, which are the manifest's to choose: an hour only ends what would never end.
OPERATION_TIMEOUT = 3600.0
SILENCE = 3 * sse.HEARTBEAT_SECONDS  # streams show life every 15 s: three missing signs are an end
ANSWER_LIMIT = 64 * 1024 * 1024  # the status of 10,000 services has some 8 MB
EVENT_LIMIT = 1024 * 1024  # an event has hundreds of bytes, a reason some thousands
LOG_LINE_LIMIT = 128 * 1024 * 1024  # log lines are cut at 16 MiB, and JSON may make six bytes of one
RECONNECT_SECONDS = 1.0
START_PAUSE = 0.01  # between two looks for the socket of a supervisor that starts; it takes a tenth of a second


class Client:
    """Requests to the supervisor behind a socket.

    Args:
        socket_path: see `devctl.paths.StackPaths.socket`. Nothing is opened yet.
        timeout: seconds to wait for each piece of an answer, where a method does not say otherwise.

    Raises (every method):
        NotRunning: there is no socket, or nobody listens there.
        ControlError: the supervisor did not answer in time, or not in HTTP.
        DevctlError: what the supervisor answered, in its own class (UnknownService, UsageError…).
    """

    def __init__(self, socket_path: Path, timeout: float = TIMEOUT) -> None:
        self.socket_path = socket_path
        self.timeout = timeout

    def __repr__(self) -> str:
        return f"<Client of the supervisor at {self.socket_path}>"

    def get(self, path: str, *, timeout: float | None = None) -> dict[str, Any]:
        """The JSON object at `path` ("/v1/status"), which is escaped already (see `devctl.control.http1.quote`)."""
        return self._json("GET", path, None, self.timeout if timeout is None else timeout)

    def get_text(self, path: str) -> str:
        """What is at `path` as text: "/metrics"."""
        return self._read("GET", path, None, self.timeout).decode("utf-8", "replace")

    def post(self, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = OPERATION_TIMEOUT) -> dict[str, Any]:
        """Asks for an operation and returns its result once it is done, which may take grace periods."""
        return self._json("POST", path, dict(body or {}), timeout)

    def wait(self, services: Sequence[str] = (), condition: str = "ready", timeout: float = 60.0) -> dict[str, Any]:
        """Waits for services (all of them when none is named), at most `timeout` seconds.

        Returns:
            {"done": bool, "timed_out": bool, "services": [status…], "impossible": [names]}
        """
        names = ",".join(services) or None
        path = "/v1/wait" + query({"services": names, "for": condition, "timeout": timeout})
        return self.get(path, timeout=timeout + self.timeout)

    def events(
        self,
        after: int | None = None,
        *,
        services: Sequence[str] = (),
        types: Sequence[str] = (),
        reconnect: bool = False,
    ) -> Iterator[dict[str, Any]]:
        """Events as they happen, until the supervisor ends. Closing the iterator ends the connection.

        Where the supervisor no longer has what comes next in memory, an event of type "gap" says so; logs/events.jsonl has it.

        Args:
            after: an id: what has happened since comes first (0: everything in memory); None for new ones only.
            services, types: only events of these.
            reconnect: take up a broken connection where it ended, for as long as somebody listens on the socket.
        """
        filters = {"service": ",".join(services) or None, "type": ",".join(types) or None}
        last = after
        while True:
            try:
                with closing(self.stream("/v1/events" + query({"after": last, **filters}))) as messages:
                    for message in messages:
                        if message.event == "end":
                            return
                        last = message.id if message.id is not None else last
                        if message.data is not None:
                            yield message.data
                broken = ControlError("the supervisor's event stream broke off", "run `devctl status` to see whether it still runs")
            except ControlError as error:
                broken = error
            if not reconnect:
                raise broken
            # Not at once again: a supervisor that answers and drops would be kept busy by us.
            time.sleep(RECONNECT_SECONDS)

    def log_lines(self, service: str, **options: object) -> Iterator[dict[str, Any]]:
        """Log lines of one service: {"time", "service", "stream", "text"}. Options are those of the route: tail=50, follow=True…"""
        # With follow, hours without a line are normal, and the connection's end is seen at once.
        path = f"/v1/services/{quote(service)}/logs{query(options)}"
        with self._open("GET", path, None, OPERATION_TIMEOUT if options.get("follow") else self.timeout, {}) as exchange:
            try:
                for line in exchange.lines(LOG_LINE_LIMIT):
                    yield json.loads(line)
            except (OSError, ProtocolError, ValueError) as error:
                raise self._trouble(error) from error

    def lease(self) -> Lease:
        """Takes a hold on the stack: it is stopped when this process ends, unless the lease is detached first."""
        return Lease(self, self._open("GET", "/v1/lease", None, SILENCE, {"Accept": sse.MEDIA_TYPE}))

    def stream(self, path: str) -> Generator[sse.Message, None, None]:
        """The server-sent events at `path`, heartbeats included. Raises ControlError after `SILENCE` seconds without any."""
        with self._open("GET", path, None, SILENCE, {"Accept": sse.MEDIA_TYPE}) as exchange:
            try:
                yield from sse.decode(exchange.lines(EVENT_LIMIT))
            except (OSError, ProtocolError, ValueError) as error:
                raise self._trouble(error) from error

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float) -> dict[str, Any]:
        text = self._read(method, path, body, timeout)
        try:
            answer = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self._trouble(error) from error
        if not isinstance(answer, dict):
            raise self._trouble(ProtocolError("the answer is no JSON object"))
        return answer

    def _read(self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float) -> bytes:
        with self._open(method, path, body, timeout, {}) as exchange:
            try:
                return exchange.read(ANSWER_LIMIT)
            except (OSError, ProtocolError) as error:
                raise self._trouble(error) from error

    def _open(self, method: str, path: str, body: Mapping[str, Any] | None, timeout: float, headers: Mapping[str, str]) -> Exchange:
        """A request whose answer is a success; an error in the answer is raised."""
        try:
            connection = self._connect(min(timeout, self.timeout))
            connection.settimeout(timeout)
            exchange = Exchange(connection, method, path, headers=headers, body=None if body is None else sse.dump(body))
        except (OSError, ProtocolError) as error:
            raise self._trouble(error) from error
        if exchange.status < 300:
            return exchange
        with exchange:
            try:
                answer = json.loads(exchange.read(ANSWER_LIMIT))
            except (OSError, ProtocolError, ValueError, RecursionError):
                answer = None
        raise restore(answer)

    def _connect(self, timeout: float) -> socket.socket:
        """A connection. A supervisor that has only just started listens a moment after its first services: its lock tells."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return connect(self.socket_path, timeout)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > deadline or not lock.is_held(self.socket_path.with_name("lock")):
                    raise
                time.sleep(START_PAUSE)

    def _trouble(self, error: Exception) -> ControlError | NotRunning:
        if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
            return NotRunning("no stack is running here", "start it with `devctl up`")
        if isinstance(error, ConnectionResetError | BrokenPipeError) and not self._listening():
            return NotRunning("the stack has ended just now", "start it again with `devctl up`")
        if isinstance(error, TimeoutError | BlockingIOError):  # EAGAIN: the backlog is full, nobody accepts
            what = f"the supervisor at {self.socket_path} does not answer"
            return ControlError(what, "end it with `devctl down`, or look at logs/devctl.log")
        return ControlError(f"the supervisor at {self.socket_path} cannot be asked: {error}", "run `devctl doctor`")

    def _listening(self) -> bool:
        try:
            connect(self.socket_path, self.timeout).close()
        except OSError:
            return False
        return True


class Lease:
    """A hold on the stack. It ends with this process, however that ends; `close` ends it at once, and the stack with it.

    A process forked off from this one (multiprocessing, a daemon) does not keep it: its copy is closed right after the fork.
    """

    def __init__(self, client: Client, exchange: Exchange) -> None:
        self._client = client
        self._exchange = exchange
        self._messages = sse.decode(exchange.lines(EVENT_LIMIT))
        first = self._next()
        if first is None or first.event != "lease":
            exchange.close()
            raise ControlError("the supervisor gave no lease", "run `devctl doctor`")
        self.id: str = first.data["lease"]
        _held.add(self)

    def fileno(self) -> int:
        """The connection's descriptor: readable when there is something for `wait_end` to see."""
        return self._exchange.fileno()

    def wait_end(self) -> str:
        """Blocks until the supervisor ends the lease, and returns why: "the supervisor is ending", "detached", "lost"."""
        while message := self._next():
            if message.event == "end":
                return str(message.data["reason"])
        return "lost"

    def detach(self) -> None:
        """Gives the hold up: the stack goes on without this process."""
        self._client.post(f"/v1/lease/{self.id}/detach", timeout=self._client.timeout)
        self.close()

    def close(self) -> None:
        """Lets go. If the lease was not detached, the supervisor stops the stack."""
        _held.discard(self)
        self._exchange.close()

    def forget(self) -> None:
        """Closes this process's copy of the connection, and leaves the hold to the others."""
        _held.discard(self)
        self._exchange.forget()

    def _next(self) -> sse.Message | None:
        try:
            return next((message for message in self._messages if message.event != "heartbeat"), None)
        except (OSError, ProtocolError, ValueError):
            return None


_held: weakref.WeakSet[Lease] = weakref.WeakSet()


def _forget_leases() -> None:
    for lease in list(_held):
        lease.forget()


os.register_at_fork(after_in_child=_forget_leases)

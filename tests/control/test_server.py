"""The server's life: its socket, its manners as a guest in the supervisor's process, its end."""

from __future__ import annotations

import asyncio
import logging
import os
import selectors
import signal
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from devctl.control import listener
from devctl.control.server import serve
from devctl.errors import ControlError, NotRunning, UnsafePath
from tests.control.fake import RUN_ID, FakeSupervisor
from tests.control.running import GUARD, Running

Start = Callable[..., Running]


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777])
def test_socket_is_private(start: Start, umask: int) -> None:
    """The socket has mode 0600 under any umask."""
    before = os.umask(umask)
    try:
        running = start()
    finally:
        os.umask(before)
    assert stat.S_IMODE(running.socket_path.stat().st_mode) == 0o600
    assert running.client.get("/health")["run_id"] == RUN_ID


def test_socket_is_never_open_to_others(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Already the bind makes the socket private: there is no moment in which another user could connect."""
    monkeypatch.setattr(listener.os, "chmod", lambda *_: None)
    before = os.umask(0)
    try:
        listener.bind_private(directory / "socket").close()
    finally:
        os.umask(before)
    assert stat.S_IMODE((directory / "socket").stat().st_mode) == 0o600


def test_stale_socket_is_replaced(directory: Path, start: Start) -> None:
    """A socket that a killed supervisor left does not stand in the way."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / "socket"))
    assert start().client.get("/health")["status"] == "ok"


def test_other_file_in_the_way_is_replaced(directory: Path) -> None:
    """Whatever a killed supervisor left at the socket's path gives way: the directory is ours alone."""
    (directory / "socket").write_text("left over")
    listener.bind_private(directory / "socket").close()
    assert (directory / "socket").is_socket()


def test_directory_in_the_way_is_refused(directory: Path) -> None:
    """A directory at the socket's path is none of our doing: it is reported and left alone."""
    (directory / "socket").mkdir()
    with pytest.raises(UnsafePath, match="cannot be created"):
        listener.bind_private(directory / "socket")
    assert (directory / "socket").is_dir()


def test_directory_that_is_missing_is_reported(directory: Path) -> None:
    """A runtime directory that is gone is an error with its path."""
    with pytest.raises(UnsafePath, match="cannot be created"):
        listener.bind_private(directory / "nowhere" / "socket")


def test_close_removes_the_socket(start: Start) -> None:
    """After the close the socket is gone and clients are told that nothing runs."""
    running = start()
    running.close_server()
    assert not running.socket_path.exists()
    with pytest.raises(NotRunning):
        running.client.get("/health")


def test_close_leaves_a_successor_alone(start: Start) -> None:
    """A socket that somebody else made at the same path since is not removed."""
    running = start()
    running.socket_path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(running.socket_path))
        running.close_server()
        assert running.socket_path.exists()


def test_close_delivers_the_pending_shutdown(start: Start) -> None:
    """A shutdown that is answered just as the server closes still reaches its client."""
    running = start()
    running.call(running.supervisor.shutdown_gate.clear)
    answers: list[dict[str, Any]] = []
    asking = threading.Thread(target=lambda: answers.append(running.client.post("/v1/shutdown", {"force": True})))
    asking.start()

    async def end() -> None:
        await running.supervisor.until(lambda: running.supervisor.calls)
        running.supervisor.shutdown_gate.set()
        await running.server.close()

    running.do(end)
    asking.join(GUARD)
    assert answers[0]["processes"] == 5
    assert running.supervisor.calls == [("shutdown", True)]


def test_close_cuts_what_does_not_end(start: Start) -> None:
    """A request that takes longer than the grace is cut off, and the close returns."""
    running = start()
    running.call(running.supervisor.shutdown_gate.clear)
    asking = socket.socket(socket.AF_UNIX)
    asking.connect(str(running.socket_path))
    asking.sendall(b"POST /v1/shutdown HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    running.do(lambda: running.supervisor.until(lambda: running.supervisor.calls))
    running.do(lambda: running.server.close(grace=0.05))
    asking.settimeout(GUARD)
    assert _received(asking) == b""


def test_signal_handlers_stay(directory: Path) -> None:
    """SIGINT and SIGTERM stay the supervisor's while the server runs in the main thread, and afterwards."""
    seen: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        got = asyncio.Event()
        loop.add_signal_handler(signal.SIGTERM, lambda: (seen.append("TERM"), got.set()))
        server = await serve(FakeSupervisor(directory), directory / "socket", RUN_ID)
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(GUARD):
            await got.wait()
        await server.close()
        loop.remove_signal_handler(signal.SIGTERM)

    before = signal.getsignal(signal.SIGINT)
    asyncio.run(run())
    assert seen == ["TERM"]
    assert signal.getsignal(signal.SIGINT) is before


def test_logging_stays(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    """No handler is installed, and requests are not logged."""
    before = list(logging.getLogger().handlers)
    running = start()
    with caplog.at_level(logging.DEBUG):
        running.client.get("/v1/status")
    assert logging.getLogger().handlers == before
    assert not logging.getLogger("uvicorn.error").handlers
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def test_idle_server_sleeps(directory: Path) -> None:
    """A server that nobody asks does not wake its loop up: the supervisor's idle cost is not the API's."""

    class Counting(selectors.DefaultSelector):
        rounds = 0

        def select(self, timeout: float | None = None) -> Any:
            Counting.rounds += 1
            return super().select(timeout)

    async def run() -> int:
        server = await serve(FakeSupervisor(directory), directory / "socket", RUN_ID)
        await asyncio.sleep(0)  # what serve() has scheduled
        before = Counting.rounds
        await asyncio.sleep(0.5)
        rounds = Counting.rounds - before
        await server.close()
        return rounds

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Counting())) as runner:
        assert runner.run(run()) <= 3


def test_connections_are_bounded(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the limit, connections are closed at once, and those before it go on."""
    monkeypatch.setattr(listener, "MAX_CONNECTIONS", 2)
    running = start()
    connections = []
    for _ in range(3):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(GUARD)
        connection.connect(str(running.socket_path))
        connections.append(connection)
    assert connections[2].recv(1) == b""
    connections[0].sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connections[0].recv(100).startswith(b"HTTP/1.1 200")
    for connection in connections:
        connection.close()


def test_silent_connection_is_closed(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that never asks anything does not stay for ever."""
    monkeypatch.setattr(listener, "IDLE_SECONDS", 0.05)
    running = start()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(GUARD)
        connection.connect(str(running.socket_path))
        assert connection.recv(1) == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x00\xff\x16\x03\x01garbage\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 200_000,
        b"\r\n" * 1000,
    ],
    ids=["binary", "half a request", "negative length", "endless target", "empty lines"],
)
def test_garbage_is_survived(running: Running, garbage: bytes) -> None:
    """What is no HTTP is refused or dropped, and the next request is answered."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(GUARD)
        connection.connect(str(running.socket_path))
        connection.sendall(garbage)
        connection.shutdown(socket.SHUT_WR)
        assert _received(connection)[:12] in (b"", b"HTTP/1.1 400")
    assert running.client.get("/health")["status"] == "ok"


def test_httpx_is_served(running: Running) -> None:
    """Another client, with connections that are kept, is served too, and every answer has a date."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(running.socket_path)), base_url="http://devctl") as client:
        for _ in range(3):
            answer = client.get("/health")
            assert answer.json()["status"] == "ok"
            assert "date" in answer.headers
        assert client.head("/v1/status").status_code == 200


def test_bug_in_the_supervisor_is_answered(running: Running) -> None:
    """An exception that is no DevctlError is a 500 in the API's shape, and the server goes on."""
    running.supervisor.failure = RuntimeError("boom")
    with pytest.raises(ControlError, match=r"RuntimeError: boom") as caught:
        running.client.get("/v1/status")
    assert "bug" in caught.value.mend
    running.supervisor.failure = None
    assert running.client.get("/v1/status")["stack"] == "assistant"


def _received(connection: socket.socket) -> bytes:
    """Everything until the end; a reset is an end too."""
    data = b""
    try:
        while block := connection.recv(65536):
            data += block
    except ConnectionResetError:
        pass
    return data

"""Whatever bytes a server sends, the http probe answers, and in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devctl.health import probe_once
from devctl.plan import HttpProbe

TIMEOUT = 0.2  # seconds of each probe
HANG_GUARD = 30.0

FRAGMENTS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 404 \r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/2 200\r\n",
        b"Content-Length: 5\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: gzip\r\n",
        b"Connection: keep-alive\r\n",
        b" folded\r\n",
        b"\r\n",
        b"\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffffffff\r\n",
        b"\x00\xff\x16\x03",
    ]
)
ANSWERS = st.binary(max_size=200) | st.lists(FRAGMENTS | st.binary(max_size=8), max_size=8).map(b"".join)


class Fuzzer:
    """Sends what the current example says, whole or in two pieces, and closes or holds the connection."""

    def __init__(self) -> None:
        self.answer = b""
        self.hold = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(HANG_GUARD)
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                connection.settimeout(HANG_GUARD)
                connection.recv(4096)
                half = len(self.answer) // 2
                connection.sendall(self.answer[:half])
                connection.sendall(self.answer[half:])
                while self.hold and connection.recv(4096):
                    pass


@pytest.fixture(scope="module")
def fuzzer() -> Iterator[Fuzzer]:
    server = Fuzzer()
    yield server
    server.close()


@given(answer=ANSWERS, hold=st.booleans(), pattern=st.sampled_from([None, "hello"]))
@example(answer=b"", hold=True, pattern=None)
@example(answer=b"HTTP/1.1 200 OK\r\n\r\nhello", hold=True, pattern="hello")
@settings(max_examples=60, deadline=None)
def test_any_bytes_give_a_result_in_time(fuzzer: Fuzzer, answer: bytes, hold: bool, pattern: str | None) -> None:
    """No exception, a printable sentence, and no longer than the timeout (with a generous guard for a busy machine)."""
    fuzzer.answer, fuzzer.hold = answer, hold
    began = time.monotonic()
    result = asyncio.run(probe_once(HttpProbe(f"http://127.0.0.1:{fuzzer.port}/", body=pattern), TIMEOUT))
    assert time.monotonic() - began < HANG_GUARD
    assert result.detail.isprintable()
    assert result.detail

"""The client against servers that misbehave, and against none."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl import errors
from devctl.control import client as client_module
from devctl.control import problems
from devctl.control.client import Client
from devctl.control.http1 import query, quote
from devctl.errors import ControlError, DevctlError, ManifestError, NotRunning, Problem
from tests.control.running import GUARD, Running

Serve = Callable[..., Client]


@pytest.fixture
def serve(directory: Path) -> Iterator[Serve]:
    """A server that gives the same bytes to everyone: `serve(b"HTTP/1.1 …")`; `hold` keeps the connection open after them."""
    done = threading.Event()
    threads: list[threading.Thread] = []
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "socket"))
    listener.listen()

    def run(answer: bytes, hold: bool) -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(answer)
                except OSError:
                    continue
                if hold:
                    done.wait(GUARD)

    def begin(answer: bytes, *, hold: bool = False, timeout: float = GUARD) -> Client:
        threads.append(threading.Thread(target=run, args=(answer, hold), daemon=True))
        threads[-1].start()
        return Client(directory / "socket", timeout=timeout)

    yield begin
    done.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in threads:
        thread.join(GUARD)


def ok(body: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", *headers, b"", body])


def test_nothing_there_is_not_running(directory: Path) -> None:
    """Without a socket, nothing runs."""
    with pytest.raises(NotRunning):
        Client(directory / "socket").get("/health")


def test_stale_socket_is_not_running(directory: Path) -> None:
    """A socket on which nobody listens is one that was left behind."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(directory / "socket"))
    with pytest.raises(NotRunning):
        Client(directory / "socket").get("/health")


def test_path_beyond_the_limit_is_not_running(tmp_path: Path) -> None:
    """A path that no socket can have has no supervisor either."""
    with pytest.raises(NotRunning):
        Client(tmp_path / ("x" * 200)).get("/health")


def test_silent_server_is_not_waited_for_for_ever(serve: Serve) -> None:
    """A supervisor that hangs is a ControlError that says how to end it."""
    with pytest.raises(ControlError, match="does not answer") as caught:
        serve(b"", hold=True, timeout=0.05).get("/health")
    assert "devctl down" in caught.value.mend


def test_answer_that_stops_is_not_waited_for_for_ever(serve: Serve) -> None:
    """Nor is one that hangs in the middle of its answer."""
    with pytest.raises(ControlError, match="does not answer"):
        serve(ok(b"{", b"Content-Length: 100"), hold=True, timeout=0.05).get("/health")


@pytest.mark.parametrize(
    "answer",
    [
        ok(b'{"a": 1}', b"Content-Length: 8"),
        ok(b'{"a": 1}', b"content-length:   8  "),
        ok(b'{"a": 1}'),
        ok(b'3\r\n{"a\r\n5;x=y\r\n": 1}\r\n0\r\nTrailer: x\r\n\r\n', b"Transfer-Encoding: chunked"),
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok(b'{"a": 1}', b"Content-Length: 8"),
        b'HTTP/1.0 200\n\n{"a": 1}',
    ],
    ids=["length", "spaces", "until the end", "chunks", "interim answer", "bare newlines"],
)
def test_every_form_of_body_is_read(serve: Serve, answer: bytes) -> None:
    """A body is read by its length, in chunks or until the end."""
    assert serve(answer).get("/") == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"\x00" * 100,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        ok(b"{}", b"Content-Length: 2x"),
        ok(b"{}", b"Content-Length: -2"),
        ok(b"{}", b"Content-Length: 99999999999999999999"),
        ok(b"{}", b"Content-Length: 3"),
        ok(b"+2\r\n{}\r\n0\r\n\r\n", b"Transfer-Encoding: chunked"),
        ok(b"2\r\n{}\r\n", b"Transfer-Encoding: chunked"),
        ok(b"not json"),
        ok(b"[1]"),
        ok(b"[" * 100_000),
        ok(b"\xff\xfe\xfa"),
        b"HTTP/1.1 500 X\r\n\r\nnot json",
        b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n",
        b"",
    ],
)
def test_garbage_is_a_control_error(serve: Serve, answer: bytes) -> None:
    """Whatever is not the API is one kind of error."""
    with pytest.raises(ControlError):
        serve(answer).get("/")


def test_answer_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer without an end is given up at the bound."""
    monkeypatch.setattr(client_module, "ANSWER_LIMIT", 10_000)
    with pytest.raises(ControlError, match="over 10000 bytes"):
        serve(ok(b" " * 1_000_000)).get("/")


def test_event_is_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """So is a line of a stream."""
    monkeypatch.setattr(client_module, "EVENT_LIMIT", 10_000)
    with pytest.raises(ControlError, match="over 10000 bytes"):
        list(serve(ok(b"data: " + b"x" * 1_000_000)).events())


def test_stream_that_is_no_json_is_a_control_error(serve: Serve) -> None:
    """An event that cannot be read is an error and no crash."""
    with pytest.raises(ControlError):
        list(serve(ok(b"data: {\n\n")).events())


def test_lease_that_is_none_is_refused(serve: Serve) -> None:
    """A server that does not give a lease does not hold the stack."""
    with pytest.raises(ControlError, match="no lease"):
        serve(ok(b": hello\n\n")).lease()


def test_end_without_an_answer_and_without_a_listener(directory: Path) -> None:
    """A supervisor that ends while it is asked is no longer running."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "socket"))
    listener.listen()

    def end() -> None:
        connection, _ = listener.accept()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        connection.close()

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(NotRunning, match="just now"):
        Client(directory / "socket").get("/health")
    thread.join(GUARD)


KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DevctlError) and kind not in (DevctlError, ManifestError)
]


@pytest.mark.parametrize("kind", KINDS)
@given(what=st.text(), mend=st.text())
def test_error_arrives_as_it_was(kind: type[DevctlError], what: str, mend: str) -> None:
    """Every class of error comes out of the API as itself, with its text."""
    status, body = problems.describe(kind(what, mend))
    restored = problems.restore(json.loads(json.dumps(body)))
    assert type(restored) is kind
    assert (restored.what, restored.mend, restored.exit_status) == (what, mend, kind.exit_status)
    assert 400 <= status < 600


def test_manifest_error_arrives() -> None:
    """A ManifestError keeps its class and text; its problems are one then."""
    _, body = problems.describe(ManifestError([Problem("s.yaml", 1, 2, "bad"), Problem("s.yaml", 3, 4, "worse")]))
    restored = problems.restore(body)
    assert isinstance(restored, ManifestError)
    assert "worse" in restored.what


@given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_any_error_body_is_an_error(body: Any) -> None:
    """Whatever an answer's body holds, it becomes some DevctlError."""
    assert isinstance(problems.restore(body), DevctlError)
    assert isinstance(problems.restore({"error": body}), DevctlError)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_quote_is_urllibs(text: str) -> None:
    """Escaping agrees with the standard library's."""
    from urllib.parse import quote as expected

    assert quote(text) == expected(text, safe="")


def test_query_leaves_out_what_is_none() -> None:
    """Values are written as the API reads them."""
    assert query({"a": None}) == ""
    assert query({"a": 1, "b": "x&y", "c": True, "d": None}) == "?a=1&b=x%26y&c=true"


def test_any_service_name_can_be_asked_for(running: Running) -> None:
    """A name with slashes, spaces or dots is an unknown service, and never another path."""
    for name in ("a b", "ä", "%2f", "?x=1", "#"):
        with pytest.raises(errors.UnknownService):
            running.client.get(f"/v1/services/{quote(name)}")


def test_client_is_cheap_to_import() -> None:
    """What every command imports stays small: no HTTP library, no asyncio, nothing to parse e-mail with."""
    code = "import sys, devctl.control.client; print(*sys.modules)"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    heavy = {"http.client", "email", "asyncio", "ssl", "httpx", "starlette", "uvicorn", "pydantic", "yaml", "rich", "logging"}
    assert not loaded & heavy

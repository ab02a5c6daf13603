"""The frontend as a process: what it hands on to the backend, how streams go through it, and whom it lets in."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus

from stack.frontend.gate import own_host, same_origin
from tests.stack.conftest import GUARD, Launcher, Scene, Trio
from tests.stack.openai_server import answer
from tests.stack.wire import wire

# One answer, 200 KB.
LONG = " ".join(["x" * 2000] * 100)


def events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    """The named events of a stream, with their data."""
    name = ""
    for line in lines:
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


def dropped(scene: Scene) -> list[str]:
    """How many clients were too slow for the backend so far, as it counts them."""
    lines = scene.backend.get("/metrics").text.splitlines()
    return [line for line in lines if line.startswith('assistant_websocket_errors_total{kind="slow"}')]


def test_a_websocket_goes_through(trio: Trio) -> None:
    """Sign-in, a message, its pieces and its end, as without the frontend between."""
    with wire(trio.frontend, "through-the-page") as talk:
        end = talk.ask("what does depends_on do?")
        chunks = [message["text"] for message in talk.messages if message["type"] == "stream_chunk"]
        assert end["agent"] == "docs"
        assert "".join(chunks) == end["reply"]


def test_the_backends_close_goes_through(trio: Trio) -> None:
    """The code and the reason with which the backend ends a connection arrive as they are."""
    with wire(trio.frontend, "refused", token="") as talk:
        talk.send("auth", token="nonsense")
        with pytest.raises(ConnectionClosed) as caught:
            talk.until("never")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 4401
        assert caught.value.rcvd.reason


def test_the_clients_close_goes_through(trio: Trio) -> None:
    """The backend forgets a connection whose page has gone."""
    path = "/api/websocket/stats"
    before = trio.backend.get(path).json()["connections"]
    with wire(trio.frontend, "goes-away"):
        assert trio.backend.get(path).json()["connections"] == before + 1
    # Each question is another turn of the backend's loop, in which the close arrives; a connection that stays never ends this.
    while trio.backend.get(path).json()["connections"] > before:
        pass


def test_a_long_message_is_refused(trio: Trio) -> None:
    """Beyond 64 KiB the connection ends with the code for it, 1009."""
    with wire(trio.frontend, "long") as talk:
        talk.connection.send("x" * 70_000)
        with pytest.raises(ConnectionClosed) as caught:
            talk.until("never")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


def test_a_page_that_does_not_read_costs_little(launcher: Launcher, scene: Scene) -> None:
    """What it does not take stays with the backend, which drops it in the end; the frontend keeps a few messages only."""
    frontend = launcher.start("frontend", BACKEND_URL=scene.backend.url)
    process = psutil.Process(frontend.process.pid)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", urlsplit(frontend.url).port))
    with wire(scene.backend, "lazy-page") as quick, wire(frontend, "lazy-page", sock=narrow, max_queue=1, close_timeout=0.1):
        before, slow = process.memory_info().rss, dropped(scene)
        for number in range(400):
            scene.model.will(answer(LONG))
            assert quick.ask(f"write page {number}", mode="direct")["reply"] == LONG
            if dropped(scene) != slow:
                break
        else:
            pytest.fail("it was never dropped")
        assert process.memory_info().rss - before < 8 * 1024 * 1024


@pytest.mark.parametrize("origin", ["https://evil.example", "http://127.0.0.1:1", "null"])
def test_another_sites_page_gets_no_websocket(trio: Trio, origin: str) -> None:
    """Browsers let any page open a WebSocket to anywhere, and say which page it was."""
    with pytest.raises(InvalidStatus) as caught, wire(trio.frontend, "foreign", origin=origin):
        pass
    assert caught.value.response.status_code == 403


def test_another_sites_page_changes_nothing(trio: Trio) -> None:
    """A POST that another page sends is refused; one of our own page, or of no page, is handed on."""
    refused = trio.frontend.post("/api/auth/demo", headers={"Origin": "https://evil.example"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "foreign_origin")
    assert trio.frontend.post("/api/auth/demo", headers={"Origin": trio.frontend.url}).status_code == 200
    assert trio.frontend.post("/api/auth/demo").status_code == 200


def test_a_foreign_name_is_refused(trio: Trio) -> None:
    """A name that a foreign site has lead here gets nothing: its script would count as ours (DNS rebinding)."""
    refused = trio.frontend.get("/", headers={"Host": "evil.example"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (421, "foreign_host")
    port = urlsplit(trio.frontend.url).port
    assert trio.frontend.get("/", headers={"Host": f"localhost:{port}"}).status_code == 200


def test_the_backends_events_stream_through(trio: Trio) -> None:
    """An event arrives while the stream goes on, and the stream can be left."""
    with httpx.stream(
        "GET", f"{trio.frontend.url}/api/events", headers=trio.frontend.signed_in, timeout=GUARD, trust_env=False
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        seen = events(response.iter_lines())
        name, data = next(seen)
        assert name == "services"
        assert "router" in {service["name"] for service in data["services"]}
        trio.frontend.post("/api/assistant/chat", {"message": "hello"})
        assert "ai" in (name for name, _ in seen)


def test_openai_clients_may_use_the_pages_address(trio: Trio) -> None:
    """`/v1` is handed on as well."""
    models = trio.frontend.get("/v1/models").json()
    assert "assistant" in {model["id"] for model in models["data"]}


def test_the_services_stream_while_the_backend_is_away(launcher: Launcher) -> None:
    """The page's own server tells what it sees; a WebSocket is refused with a reason in the meantime."""
    frontend = launcher.start("frontend", BACKEND_URL=f"http://127.0.0.1:{launcher.port()}")
    with httpx.stream("GET", f"{frontend.url}/services/events", timeout=GUARD, trust_env=False) as response:
        for _, data in events(response.iter_lines()):
            states = {service["name"]: service["status"] for service in data["services"]}
            if states["backend"] != "unknown":
                break
    assert states == {"frontend": "ok", "backend": "unreachable", "router": "unknown"}
    with pytest.raises(InvalidStatus) as caught, wire(frontend, "nobody", token=""):
        pass
    assert caught.value.response.status_code == 502


def test_streams_end_when_the_frontend_stops(launcher: Launcher, trio: Trio) -> None:
    """SIGTERM with an open WebSocket and open streams: all are ended in order, and so is the process."""
    frontend = launcher.start("frontend", BACKEND_URL=trio.backend.url)
    frontend.wait_line("backend is")
    headers = frontend.signed_in
    with (
        wire(frontend, "until-the-end") as talk,
        httpx.Client(base_url=frontend.url, timeout=GUARD, trust_env=False, headers=headers) as client,
        client.stream("GET", "/services/events") as own,
        client.stream("GET", "/api/events") as handed_on,
    ):
        streams = [events(own.iter_lines()), events(handed_on.iter_lines())]
        for stream in streams:
            assert next(stream)[0] == "services"
        frontend.process.send_signal(signal.SIGTERM)
        for stream in streams:
            list(stream)
        with pytest.raises(ConnectionClosed) as caught:
            talk.until("never")
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1012
    assert frontend.process.wait(GUARD) == 0
    assert "[ERROR]" not in frontend.output()


def test_the_page_allows_nothing_from_elsewhere(trio: Trio) -> None:
    """Its policy begins with nothing at all, and adds its own files; text cannot become markup."""
    policy = trio.frontend.get("/").headers["content-security-policy"].split("; ")
    assert policy[0] == "default-src 'none'"
    assert "require-trusted-types-for 'script'" in policy
    assert {directive.split(" ", 1)[1] for directive in policy[1:]} <= {"'self'", "'none'", "'script'"}


def test_its_own_names() -> None:
    """`localhost`, addresses, and the name of the public URL, with any port."""
    for host in ("localhost", "LOCALHOST:3000", "127.0.0.1:3000", "[::1]:3000", "192.168.0.7", "dev.example.org:8443"):
        assert own_host(host, "dev.example.org"), host
    for host in ("", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[::1", "localhost:x", "a@localhost"):
        assert not own_host(host, "dev.example.org"), host


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_origin_passes_by_being_odd(origin: str, host: str) -> None:
    """Whatever an Origin holds, it passes only as this host's own."""
    if not origin.isascii() or not host.isascii():
        return
    headers = Headers({"origin": origin, "host": host})
    if same_origin(headers):
        assert origin.lower().partition("//")[2].startswith(host.lower())
        assert host

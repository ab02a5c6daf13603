"""The API over TCP: the token, the Host, the Origin, and addresses that should not be listened on."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.control.access import Listen
from devctl.errors import ControlError, UsageError
from tests.control.running import Running

TOKEN = "a-token-of-24-characters"
AUTHORIZED = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def http(start: Callable[..., Running]) -> Iterator[httpx.Client]:
    running = start(listen=Listen.parse("127.0.0.1:0", TOKEN))
    with httpx.Client(base_url=f"http://127.0.0.1:{running.server.port}") as client:
        yield client


def test_token_opens(http: httpx.Client) -> None:
    """With the token everything is there."""
    assert http.get("/v1/status", headers=AUTHORIZED).json()["stack"] == "assistant"
    assert http.post("/v1/services/router/stop", headers=AUTHORIZED).status_code == 200


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, "Bearer caf\xe9"]
)
def test_without_the_token_nothing_is_told(http: httpx.Client, value: str | None) -> None:
    """A missing or wrong token is a 401 that says nothing about the stack."""
    headers = {} if value is None else {"Authorization": value.encode("latin-1")}
    answer = http.get("/v1/status", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["error"]["code"] == "unauthorized"
    assert http.get("/nope", headers=headers).status_code == 401


def test_two_tokens_are_none(http: httpx.Client) -> None:
    """A request with two Authorization headers is ambiguous and refused."""
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Authorization", "Bearer other")]
    assert http.get("/v1/status", headers=headers).status_code == 401


def test_health_needs_no_token(http: httpx.Client) -> None:
    """Whether it runs may be asked without one."""
    assert http.get("/health").json()["status"] == "ok"
    assert http.post("/health").status_code == 401


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1"]
)
def test_foreign_host_is_refused(http: httpx.Client, host: str) -> None:
    """A name that somebody pointed at this machine is refused, with the token too: DNS rebinding."""
    answer = http.get("/v1/status", headers={**AUTHORIZED, "Host": host})
    assert answer.status_code == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9", "127.0.0.1", "[::1]:80", "10.0.0.7:7070"])
def test_address_as_host_is_fine(http: httpx.Client, host: str) -> None:
    """Addresses cannot be rebound, and a forwarded port has another number."""
    assert http.get("/v1/status", headers={**AUTHORIZED, "Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost:1", "file://"])
def test_foreign_origin_is_refused(http: httpx.Client, origin: str) -> None:
    """A page from elsewhere cannot use the API, even with the token."""
    answer = http.post("/v1/services/router/stop", headers={**AUTHORIZED, "Origin": origin})
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "forbidden"


def test_own_origin_is_fine(http: httpx.Client) -> None:
    """A page that this very address served may ask."""
    origin = str(http.base_url).rstrip("/")
    assert http.get("/v1/status", headers={**AUTHORIZED, "Origin": origin}).status_code == 200


def test_unix_socket_needs_no_token(start: Callable[..., Running]) -> None:
    """The Unix socket stays as it is beside the TCP port: its file mode guards it."""
    running = start(listen=Listen.parse("127.0.0.1:0", TOKEN))
    assert running.client.get("/v1/status")["stack"] == "assistant"


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("7070", "127.0.0.1", 7070),
        (":7070", "127.0.0.1", 7070),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("127.8.9.1:1", "127.8.9.1", 1),
        ("localhost:7070", "localhost", 7070),
        ("[::1]:7070", "::1", 7070),
    ],
)
def test_address_is_read(text: str, host: str, port: int) -> None:
    """Addresses in their usual forms; a port alone is on loopback."""
    listen = Listen.parse(text, TOKEN)
    assert (listen.host, listen.port) == (host, port)


@pytest.mark.parametrize("text", ["0.0.0.0:7070", "[::]:7070", "192.168.0.1:7070", "example.org:7070"])
def test_remote_address_must_be_allowed(text: str) -> None:
    """An address that other machines reach is refused unless it was allowed."""
    with pytest.raises(UsageError, match="other machines"):
        Listen.parse(text, TOKEN)
    assert Listen.parse(text, TOKEN, allow_remote=True).port == 7070


@pytest.mark.parametrize("text", ["", "host", "host:", "127.0.0.1:port", "127.0.0.1:65536", "127.0.0.1:-1"])
def test_bad_address_is_refused(text: str) -> None:
    """What is no address is an error that shows the form."""
    with pytest.raises(UsageError, match="address"):
        Listen.parse(text, TOKEN)


@given(st.text(max_size=15) | st.just("") | st.just("é" * 30) | st.just("a\n" * 20))
def test_weak_token_is_refused(token: str) -> None:
    """A token that is short, or cannot stand in a header, is refused."""
    with pytest.raises(UsageError, match="too weak"):
        Listen.parse("127.0.0.1:7070", token)


def test_token_is_not_shown() -> None:
    """The token does not get into logs by way of a repr."""
    assert TOKEN not in repr(Listen.parse("7070", TOKEN))


def test_taken_port_is_reported() -> None:
    """An address that cannot be had is an error with the address."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ControlError, match="cannot listen on"):
            # With SO_REUSEADDR the bind may pass; listening is what fails then.
            Listen.parse(f"127.0.0.1:{taken.getsockname()[1]}", TOKEN).bind().listen()

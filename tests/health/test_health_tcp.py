"""The tcp probe."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from devctl.health.address import split_address
from devctl.health.stream import self_connected
from devctl.plan import TcpProbe

if TYPE_CHECKING:
    from tests.health.conftest import Ask, Connection, Serve


def greet_and_close(connection: Connection) -> None:
    connection.say(b"220 hello\r\n")


def test_a_port_that_accepts_passes(serve: Serve, ask: Ask) -> None:
    """Accepting is enough, whatever is said then."""
    port = serve(greet_and_close).port
    for host in ("127.0.0.1", "localhost", ""):
        result = ask(TcpProbe(f"{host}:{port}"))
        assert result.ok
        assert "accepts in" in result.detail


def test_a_port_that_nobody_listens_on_is_refused(free_port: int, ask: Ask) -> None:
    """The detail names the address."""
    result = ask(TcpProbe(f"127.0.0.1:{free_port}"))
    assert not result.ok
    assert result.detail == f"connection refused on 127.0.0.1:{free_port}"


def test_a_connection_that_hangs_ends_with_the_timeout(ask: Ask) -> None:
    """A full backlog drops what comes: the probe does not wait for the kernel's two minutes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(8)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        result = ask(TcpProbe(f"127.0.0.1:{address[1]}"), 0.2)
        for filler in fillers:
            filler.close()
    assert not result.ok
    assert result.detail == f"no connection to 127.0.0.1:{address[1]} within 200 ms"


@pytest.mark.parametrize("address", ["nowhere", "host:", "host:http", "host:0", "host:65536", "host:²"])
def test_an_address_that_is_none_is_said(ask: Ask, address: str) -> None:
    """Nothing raises: the reason is the detail."""
    result = ask(TcpProbe(address))
    assert not result.ok
    assert "no host:port" in result.detail


def test_ipv6_addresses_stand_in_brackets() -> None:
    """As in URLs; without them the last colon separates the port."""
    assert split_address("[::1]:80") == ("::1", 80)
    assert split_address("::1:80") == ("::1", 80)


def test_a_connection_that_met_itself_is_recognised() -> None:
    """The kernel may pick the very port that is asked as the source: then nobody listens there but us."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        assert self_connected(sock)


def test_a_connection_to_a_server_did_not_meet_itself(serve: Serve) -> None:
    """The check does not mistake a real server."""
    with socket.create_connection(("127.0.0.1", serve(greet_and_close).port)) as sock:
        assert not self_connected(sock)

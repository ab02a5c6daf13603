"""Who holds a port: real listeners."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from devctl.process.ports import Holder, free_port, holder, listening

LISTEN = """
import socket, sys
server = socket.create_server((sys.argv[1], 0), family=socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET)
print(server.getsockname()[1], flush=True)
sys.stdin.read()
"""


@contextmanager
def listener(host: str, **environment: str) -> Iterator[tuple[int, int]]:
    """Another process that listens on a free port of `host`; gives (port, pid)."""
    with subprocess.Popen(
        [sys.executable, "-c", LISTEN, host],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.skip(f"no listening on {host} here")
        yield int(line), process.pid
        process.communicate()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_a_listener_is_named(host: str) -> None:
    """By pid, command and age, on every kind of address."""
    with listener(host) as (port, pid):
        found = holder(port)
        assert found is not None
        assert (found.port, found.pid) == (port, pid)
        assert found.command.startswith(sys.executable)
        assert f"held by pid {pid}" in str(found)
        assert found.mend().startswith(f"end it (`kill {pid}`)")
    assert holder(port) is None


def test_a_free_port_has_no_holder() -> None:
    """Nobody listens, nobody is named."""
    assert holder(free_port(())) is None


def test_bound_is_not_listening() -> None:
    """Only a listener holds a port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        assert bound.getsockname()[1] not in listening()


def test_a_service_of_another_stack() -> None:
    """It is named with its stack; nobody holds that run's lock, so it is an orphan that can be reaped."""
    with listener("127.0.0.1", DEVCTL_RUN_ID="0000000000000000-1", DEVCTL_STACK="shop", DEVCTL_SERVICE="web") as (port, _):
        found = holder(port)
    assert found is not None
    assert (found.stack, found.service, found.orphaned) == ("shop", "web", True)
    assert str(found).endswith(": service web of the stack shop")
    assert "devctl reap" in found.mend()


def test_mends() -> None:
    """What to do depends on whose it is."""
    assert "devctl down" in Holder(80, 5, "x", service="web", stack="shop").mend()
    assert str(Holder(80)) == "port 80 is held by a process of another user"
    assert Holder(80).mend() == "end it, give the service another `port`, or use `devctl up --auto-ports`"


def test_free_ports_are_free() -> None:
    """Each can be listened on, on every address, and none is taken twice."""
    taken: set[int] = set()
    for _ in range(20):
        port = free_port(taken)
        assert port not in taken
        taken.add(port)
        with socket.create_server(("127.0.0.1", port)):
            assert port in listening()


def test_no_free_port() -> None:
    """When everything is taken, it says so instead of trying for ever."""
    with pytest.raises(OSError, match="no free TCP port"):
        free_port(range(65536))

"""Who listens on which TCP port, and free ports for `auto`. Reads /proc/net/tcp{,6} on Linux, asks psutil elsewhere."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Collection
from dataclasses import dataclass

from devctl.paths import runtime_root
from devctl.process import lock, system

LISTEN = "0A"  # TCP_LISTEN in <linux/tcp_states.h>, as proc(5) prints it
FREE_PORT_TRIES = 200


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a port. `pid` is None when its owner is not ours to look into; `since` is seconds since the epoch.

    `orphaned`: it is a service of a run whose devctl is dead.
    """

    port: int
    pid: int | None = None
    command: str = ""
    since: float | None = None
    stack: str | None = None
    service: str | None = None
    orphaned: bool = False

    def __str__(self) -> str:
        if self.pid is None:
            return f"port {self.port} is held by a process of another user"
        text = f"port {self.port} is held by pid {self.pid} ({self.command})"
        if self.since is not None:
            text += f", since {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.since))}"
        if self.service:
            text += f": service {self.service} of the stack {self.stack}"
        return text

    def mend(self) -> str:
        """What the user can do about it."""
        if self.orphaned:
            return "it was left by a run of devctl that crashed: `devctl reap` ends it"
        if self.service:
            return "stop that stack with `devctl down` in its directory (`devctl ls` shows it), or use `devctl up --auto-ports`"
        end = f"end it (`kill {self.pid}`)" if self.pid else "end it"
        return f"{end}, give the service another `port`, or use `devctl up --auto-ports`"


def listening() -> dict[int, list[int]]:
    """Port → inodes of the sockets that listen on it, on any address."""
    if sys.platform != "linux":
        import psutil

        with contextlib.suppress(psutil.Error):
            return {c.laddr.port: [] for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        return {}
    found: dict[int, list[int]] = {}
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with contextlib.suppress(OSError), open(table) as file:
            next(file)
            for line in file:
                fields = line.split()
                if len(fields) > 9 and fields[3] == LISTEN:
                    found.setdefault(int(fields[1].rpartition(":")[2], 16), []).append(int(fields[9]))
    return found


def holder(port: int) -> Holder | None:
    """Who listens on `port`; None when nobody does."""
    inodes = listening().get(port)
    if inodes is None:
        return None
    if sys.platform == "linux":
        from devctl.process.linux import socket_owner

        pid = socket_owner(inodes)
    else:
        from devctl.process.darwin import listener

        pid = listener(port)
    return Holder(port) if pid is None else _describe(port, pid)


def free_port(taken: Collection[int]) -> int:
    """A port that nobody listens on and that is not in `taken`. Raises OSError when there is none to be had."""
    for _ in range(FREE_PORT_TRIES):
        # IPv6 any-address binds IPv4 too, so the port is free on both.
        family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            probe.bind(("", 0))
            port: int = probe.getsockname()[1]
        if port not in taken:
            return port
    raise OSError("no free TCP port was found")


def _describe(port: int, pid: int) -> Holder:
    run_id = system.environment_value(pid, "DEVCTL_RUN_ID")
    return Holder(
        port,
        pid,
        system.command_line(pid, 80),
        system.started_at(pid),
        system.environment_value(pid, "DEVCTL_STACK"),
        system.environment_value(pid, "DEVCTL_SERVICE"),
        # A run id begins with its stack's digest; nobody holds the lock of a run that crashed.
        run_id is not None and not lock.is_held(runtime_root() / run_id.partition("-")[0] / "lock"),
    )

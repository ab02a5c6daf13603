"""Where to connect: a host's addresses, found without ever blocking the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from typing import Any

FRESH = 30.0  # seconds a looked-up name is believed: long enough to cost nothing at one probe a second

SocketAddress = tuple[socket.AddressFamily, tuple[Any, ...]]
"""(family, what connect() takes)."""


def split_address(address: str) -> tuple[str, int]:
    """("host", port) of "host:port", "[::1]:port" or ":port". Raises ValueError with a sentence for the user."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is no host:port")
    return host.removeprefix("[").removesuffix("]") or "localhost", int(port)


def show(host: str, port: int) -> str:
    """host:port for people, IPv6 in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Target:
    """A host and port, with the addresses it stands for, the one that answered last first.

    `localhost` is both loopback addresses, without asking anybody (RFC 6761, section 6.3): which of them a server listens on
    depends on its framework, and the hosts file decides otherwise. Names are looked up in a thread of their own, one at a time,
    which is a daemon so that a hanging resolver keeps nobody from exiting.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._addresses: list[SocketAddress] = []
        self._expires = float("inf")
        self._lookup: asyncio.Future[list[SocketAddress]] | None = None
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):
            self._addresses = [(socket.AF_INET, ("127.0.0.1", port)), (socket.AF_INET6, ("::1", port, 0, 0))]
        else:
            with contextlib.suppress(OSError, UnicodeError):
                self._addresses = _resolve(host, port, socket.AI_NUMERICHOST)

    def __str__(self) -> str:
        return show(self.host, self.port)

    async def addresses(self) -> list[SocketAddress]:
        """At least one address. Raises OSError (socket.gaierror) when the name cannot be resolved."""
        loop = asyncio.get_running_loop()
        if self._addresses and loop.time() < self._expires:
            return self._addresses
        if self._lookup is None:
            self._lookup = loop.create_future()
            threading.Thread(target=self._look_up, args=(loop, self._lookup), name="devctl-resolve", daemon=True).start()
        # Shielded: a probe that runs out of time leaves the lookup to the next one instead of starting another thread.
        lookup = self._lookup
        found = await asyncio.shield(lookup)
        self._addresses = list(found)
        self._expires = loop.time() + FRESH
        return self._addresses

    def prefer(self, address: SocketAddress) -> None:
        """This one answered: try it first next time."""
        if self._addresses and self._addresses[0] != address:
            self._addresses.sort(key=lambda other: other != address)

    def _look_up(self, loop: asyncio.AbstractEventLoop, lookup: asyncio.Future[list[SocketAddress]]) -> None:
        result: list[SocketAddress] | OSError
        try:
            result = _resolve(self.host, self.port, 0)
        except (OSError, UnicodeError) as error:
            result = error if isinstance(error, OSError) else socket.gaierror(socket.EAI_NONAME, str(error))
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(self._looked_up, lookup, result)

    def _looked_up(self, lookup: asyncio.Future[list[SocketAddress]], result: list[SocketAddress] | OSError) -> None:
        self._lookup = None
        if isinstance(result, OSError):
            lookup.set_exception(result)
            lookup.exception()  # marked as seen: the probe that waited for it may be gone
        else:
            lookup.set_result(result)


def _resolve(host: str, port: int, flags: int) -> list[SocketAddress]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))

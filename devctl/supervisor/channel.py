"""The socket between the client that starts a stack and its supervisor: the plan comes in, news go out, its end is the client's.

Client → supervisor: one line of JSON {"size": bytes, "lease": bool}, then the plan; later perhaps the line "detach".
Supervisor → client: one JSON object a line: {"event": "started" | "serving" | "error", …}.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import Any

from devctl.errors import DevctlError, LaunchError, ManifestError
from devctl.plan import Plan, from_json

# A plan of 10,000 services is some 8 MB.
PLAN_LIMIT = 64_000_000
RECEIVE_TIMEOUT = 30.0


class Channel:
    """The supervisor's end."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)
        self._socket.setblocking(False)
        self._rest = b""

    async def receive(self) -> tuple[Plan, bool]:
        """The plan, and whether the client's life is the stack's. Raises LaunchError."""
        try:
            return await asyncio.wait_for(self._receive(), RECEIVE_TIMEOUT)
        except (TimeoutError, OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise LaunchError(f"the client sent no plan: {error}", "start it again") from error

    async def _receive(self) -> tuple[Plan, bool]:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while b"\n" not in data:
            data += await self._more(loop)
        line, _, rest = bytes(data).partition(b"\n")
        header = json.loads(line)
        size = int(header["size"])
        if size > PLAN_LIMIT:
            raise ValueError(f"a plan of {size} bytes")
        body = bytearray(rest)
        while len(body) < size:
            body += await self._more(loop)
        self._rest = bytes(body[size:])
        return from_json(json.loads(body[:size])), bool(header["lease"])

    async def _more(self, loop: asyncio.AbstractEventLoop) -> bytes:
        block = await loop.sock_recv(self._socket, 1 << 18)
        if not block:
            raise ConnectionResetError("it is gone")
        return block

    def tell(self, message: dict[str, Any]) -> None:
        """One line; the client may be gone, or not listening any more."""
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps(message).encode() + b"\n")

    def tell_error(self, error: DevctlError) -> None:
        """Why there will be no stack."""
        name = "ManifestError" if isinstance(error, ManifestError) else type(error).__name__
        self.tell({"event": "error", "type": name, "what": error.what, "mend": error.mend})

    async def ended(self) -> bool:
        """Waits for the client's end; True when it said "detach" before."""
        loop = asyncio.get_running_loop()
        data = self._rest
        with contextlib.suppress(OSError):
            while block := await loop.sock_recv(self._socket, 256):
                data = (data + block)[-256:]
        self._socket.close()
        return b"detach\n" in data


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends: (the client's, the supervisor's)."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    os.set_inheritable(theirs.fileno(), True)
    return ours, theirs

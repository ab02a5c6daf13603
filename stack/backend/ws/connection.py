"""One WebSocket's way out: messages wait in a bounded queue, so that a client that does not read holds up nobody."""

from __future__ import annotations

import asyncio
from collections import deque

from starlette.websockets import WebSocket, WebSocketDisconnect

from stack.common.metrics import WS_ERRORS, WS_MESSAGES

MOST = 512 * 1024
"""Characters that may wait for one client: twice what a conversation remembers, so that one that comes back can get it all."""

SLOW = 1013
"""The close code for a client that is too slow: try again later. It gets what it missed when it resumes."""


# Bytes of a close's reason: a control frame has 125, two of them for the code.
_LONGEST_REASON = 123


class Connection:
    """Sends messages in order; never makes the sender wait.

    Attributes:
        ended: set when the connection is to be closed, with the code and the reason below.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._waiting: deque[str] = deque()
        self._size = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.ended = asyncio.Event()
        self.code = 1000
        self.reason = ""

    def send(self, text: str) -> None:
        """Queues a message; with too much waiting the connection ends instead."""
        if self.ended.is_set():
            return
        if self._size + len(text) > MOST:
            WS_ERRORS.labels("slow").inc()
            self._waiting.clear()
            self._size = 0
            self.end(SLOW, "too slow: come back and resume")
            return
        self._waiting.append(text)
        self._size += len(text)
        self._emptied.clear()
        self._filled.set()

    def end(self, code: int, reason: str) -> None:
        """Closes the connection; what waits is still sent if the client takes it in time. The first call counts."""
        if not self.ended.is_set():
            # Cut to what a close frame holds (RFC 6455, section 5.5), in whole characters.
            self.code, self.reason = code, reason.encode("utf-8", "replace")[:_LONGEST_REASON].decode("utf-8", "ignore")
            self.ended.set()

    async def flush(self) -> None:
        """Waits until everything was handed to the network."""
        await self._emptied.wait()

    async def write(self) -> None:
        """Sends what is queued, until cancelled or the client is gone."""
        try:
            while True:
                while self._waiting:
                    text = self._waiting.popleft()
                    self._size -= len(text)
                    await self._websocket.send_text(text)
                    WS_MESSAGES.labels("out").inc()
                self._emptied.set()
                self._filled.clear()
                await self._filled.wait()
        except (WebSocketDisconnect, RuntimeError):
            # RuntimeError: it was closed from the other side in the meantime.
            self.end(1006, "")
        finally:
            self._emptied.set()

"""Somebody who uses the stack as its page does: through the frontend, signed in, over HTTP and a WebSocket."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

import httpx
from websockets.sync.client import connect

from stack.verify.stage import PATIENCE, Unproven, until


class Visitor:
    """A signed-in visitor.

    Args:
        url: the frontend's address.

    Attributes:
        token: the access token, for other ways in.

    Raises:
        Unproven: they cannot sign in.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(base_url=url, timeout=PATIENCE, trust_env=False, headers={"X-Requested-With": "page"})
        self.token = str(self._json(self._client.post("/api/auth/demo", json={}))["access_token"])
        self._client.headers["Authorization"] = f"Bearer {self.token}"

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def get(self, path: str) -> Any:
        """What is at `path`, as JSON."""
        return self._json(self._client.get(path))

    def chat(self, session: str, message: str) -> dict[str, Any]:
        """The assistant's answer to a message of a conversation."""
        return self._json(self._client.post("/api/assistant/chat", json={"session_id": session, "message": message}))

    def chat_when_back(self, session: str, message: str) -> dict[str, Any]:
        """As `chat`, asking again while a service says that it is not there yet (502, 503, 504)."""
        answers: list[dict[str, Any]] = []

        def answered() -> bool:
            response = self._client.post("/api/assistant/chat", json={"session_id": session, "message": message})
            if response.status_code not in (502, 503, 504):
                answers.append(self._json(response))
            return bool(answers)

        until(answered, "the assistant answers again")
        return answers[0]

    def stream(self, session: str, message: str) -> tuple[list[str], dict[str, Any]]:
        """The chunks of an answer over the WebSocket, and the message that ended it."""
        address = f"ws{self._url.removeprefix('http')}/ws/assistant/{session}"
        chunks: list[str] = []
        deadline = time.monotonic() + PATIENCE
        with connect(address, open_timeout=PATIENCE, close_timeout=PATIENCE) as socket:
            socket.send(json.dumps({"type": "auth", "token": self.token}))
            socket.send(json.dumps({"type": "message", "text": message}))
            while True:
                received = json.loads(socket.recv(max(0.0, deadline - time.monotonic())))
                if received["type"] == "stream_chunk":
                    chunks.append(received["text"])
                elif received["type"] == "stream_end":
                    return chunks, received
                elif received["type"] == "error":
                    raise Unproven(f"the WebSocket answered {received['error']}")

    def ask(self, prompt: str) -> dict[str, Any]:
        """A model's answer, from the cache where it has one."""
        return self._json(self._client.post("/api/assistant/ask", json={"task": "chat", "prompt": prompt}))

    def job(self, prompt: str) -> dict[str, Any]:
        """A job's record once it is decided."""
        accepted = self._json(
            self._client.post("/api/assistant/jobs", json={"task": "chat", "prompt": prompt, "id": uuid.uuid4().hex})
        )
        record: dict[str, Any] = {}

        def decided() -> bool:
            record.update(self.get(f"/api/assistant/jobs/{accepted['id']}"))
            return record["state"] in ("done", "failed", "dead")

        until(decided, f"job {accepted['id']} is decided")
        return record

    def stranger(self, path: str) -> int:
        """The status with which somebody who is not signed in is answered."""
        return httpx.get(self._url + path, timeout=PATIENCE, trust_env=False).status_code

    def _json(self, response: httpx.Response) -> dict[str, Any]:
        if not response.is_success:
            raise Unproven(
                f"{response.request.method} {response.request.url.path} was answered {response.status_code}: {response.text[:500]}"
            )
        answer: dict[str, Any] = response.json()
        return answer

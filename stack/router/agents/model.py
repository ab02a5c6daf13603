"""The backend's language models, as the router's agents ask them: OpenAI's chat completions, streamed.

The format: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Sequence

import httpx

from stack.common.internal import InternalKey
from stack.common.log import request_id
from stack.common.web import REQUEST_ID_HEADER

PATIENCE = 45.0
"""Seconds for the next piece. The backend tries several providers before it gives up, and a large model thinks before it speaks."""

# Seconds. The backend is on this machine or near it.
_CONNECT = 1.0

# Bytes of one event. A piece of text has a few hundred.
_MAX_EVENT = 64 * 1024


class ModelTrouble(Exception):
    """There is no answer, or no more of it. The message is a phrase for people that says why."""


class Model:
    """What the backend calls its default model.

    Args:
        url: the backend's address, without a slash at the end.
        client: what to ask with. Its owner closes it.
        key: proves who asks.
        patience: seconds for the next piece.
    """

    def __init__(self, url: str, client: httpx.AsyncClient, key: InternalKey, patience: float = PATIENCE) -> None:
        self._url = url
        self._client = client
        self._key = key
        self._timeout = httpx.Timeout(patience, connect=_CONNECT)

    async def stream(self, messages: Sequence[dict[str, str]]) -> AsyncGenerator[str, None]:
        """The answer to a conversation, piece by piece.

        Args:
            messages: `{"role", "content"}` each, oldest first.

        Raises:
            ModelTrouble: it cannot be had, also in its midst.
        """
        body = {"model": "default", "messages": list(messages), "stream": True}
        headers = {**self._key.headers("router"), REQUEST_ID_HEADER: request_id.get()}
        try:
            async with self._client.stream(
                "POST", f"{self._url}/v1/chat/completions", json=body, headers=headers, timeout=self._timeout
            ) as response:
                if response.status_code != 200:
                    raise ModelTrouble(f"the backend answered {response.status_code}")
                spoken = False
                async for event in _events(response):
                    if event == "[DONE]":
                        if not spoken:
                            raise ModelTrouble("its answer is empty")
                        return
                    if text := _text(event):
                        spoken = True
                        yield text
                raise ModelTrouble("its answer has no end")
        except httpx.TimeoutException as error:
            raise ModelTrouble("the backend took too long") from error
        except httpx.ConnectError as error:
            raise ModelTrouble("the backend cannot be reached") from error
        except httpx.HTTPError as error:
            raise ModelTrouble("the connection to the backend broke") from error


async def _events(response: httpx.Response) -> AsyncGenerator[str, None]:
    """The data of each server-sent event. Each of ours is one line."""
    rest = b""
    async for block in response.aiter_bytes():
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _MAX_EVENT:
            raise ModelTrouble("its answer makes no sense")
        for line in lines:
            name, _, value = line.decode("utf-8", "replace").partition(":")
            if name == "data":
                yield value.strip()


def _text(event: str) -> str:
    """The piece of text in an event, empty where it has none."""
    try:
        content = json.loads(event)
        if error := content.get("error"):
            raise ModelTrouble(str(error["message"])[:200].rstrip("."))
        choices = content["choices"]
        return str(choices[0]["delta"].get("content") or "") if choices else ""
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise ModelTrouble("its answer makes no sense") from error

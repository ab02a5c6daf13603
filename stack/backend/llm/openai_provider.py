"""Any endpoint that speaks OpenAI's chat completions."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import functools
import ssl
import time
from collections.abc import AsyncGenerator, Sequence
from urllib.parse import urlsplit

import httpx

from stack.backend.llm.completion import Reader, error_words, request_body
from stack.backend.llm.event_stream import payloads
from stack.backend.llm.provider import MAX_ANSWER, ChatRequest, Chunk, ProviderError

# Seconds to a connection. Across the world it takes well under one.
_CONNECT = 5.0

# Bytes of an answer that is no stream: its text as JSON escapes.
_MAX_BODY = 2 * 1024 * 1024

# Bytes of an error's answer that are read; what it says stands at its beginning.
_MAX_ERROR = 8 * 1024

# Seconds for the end of a stream after its last event. Mostly it has come together with that.
_LINGER = 0.05

# Connections to one endpoint. More callers than this wait, up to `_CONNECT`.
_CONNECTIONS = 256

# Connections kept for the next request. The client's pool looks at each with every other one: 200 idle ones cost it seconds.
_IDLE = 8


class OpenAIProvider:
    """An endpoint.

    Args:
        name: as people call it.
        url: what stands before `/chat/completions`, such as `https://api.openai.com/v1`.
        models: their names there; at least one.
        key: sent as a bearer token; None where none is needed.
        patience: seconds to the first byte of an answer, and between two.
    """

    built_in = False

    def __init__(self, name: str, url: str, models: Sequence[str], key: str | None = None, patience: float = 30.0) -> None:
        self.name = name
        self.models = tuple(models)
        self._url = f"{url.rstrip('/')}/chat/completions"
        self._key = key
        self._patience = patience
        # What is on this machine is not reached through a proxy. Redirects are not followed: they would carry the key elsewhere.
        near = urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")
        self._client = httpx.AsyncClient(
            headers={"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            timeout=httpx.Timeout(patience, connect=min(_CONNECT, patience), pool=min(_CONNECT, patience)),
            limits=httpx.Limits(max_connections=_CONNECTIONS, max_keepalive_connections=_IDLE),
            trust_env=not near,
            verify=_tls(),
        )

    def __repr__(self) -> str:
        return f"<OpenAIProvider {self.name} at {self._url}>"

    async def aclose(self) -> None:
        await self._client.aclose()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        reader = Reader()
        length = 0
        try:
            async with self._client.stream("POST", self._url, content=request_body(request)) as response:
                if not response.is_success:
                    raise await self._refusal(response)
                async with contextlib.aclosing(_parts(response)) as parts:
                    async for payload in parts:
                        if text := reader.read(payload):
                            length += len(text)
                            if length > MAX_ANSWER:
                                raise ProviderError("garbage", f"the answer passes {MAX_ANSWER} characters")
                            yield Chunk(text)
        except httpx.TimeoutException as error:
            raise ProviderError("timeout", f"nothing came for {self._patience:g} s") from error
        except httpx.RemoteProtocolError as error:
            kind = "broken_off" if length else "unreachable"
            raise ProviderError(kind, f"the connection broke off: {self._clean(str(error))}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            kind = "broken_off" if length else "unreachable"
            raise ProviderError(kind, self._clean(str(error)) or type(error).__name__) from error
        except ProviderError as error:
            raise ProviderError(error.kind, self._clean(str(error)), error.retry_after) from error
        if not reader.finished:
            raise ProviderError("broken_off", "the stream ended before the answer did")
        yield reader.last()

    async def _refusal(self, response: httpx.Response) -> ProviderError:
        body = b""
        async for block in response.aiter_bytes():
            body += block
            if len(body) > _MAX_ERROR:
                break
        status = response.status_code
        message = f"answered {status}: {error_words(body)}"
        if status == 429:
            return ProviderError("rate_limited", message, _retry_after(response))
        # 404: no such path, or no such model. A redirect as well: the address is wrong, not the request.
        if status < 400 or status in (401, 403, 404):
            return ProviderError("refused", message)
        if status >= 500 or status == 408:
            return ProviderError("failed", message, _retry_after(response))
        return ProviderError("rejected", message)

    def _clean(self, message: str) -> str:
        """The message without the key, should the endpoint quote it."""
        return message.replace(self._key, "***") if self._key else message


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all endpoints: reading the certificates takes 20 ms."""
    return httpx.create_ssl_context()


async def _parts(response: httpx.Response) -> AsyncGenerator[str | bytes, None]:
    """The JSON parts of an answer. Endpoints that know no streaming send one."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        body = b""
        async for block in response.aiter_bytes():
            body += block
            if len(body) > _MAX_BODY:
                raise ProviderError("garbage", f"the answer passes {_MAX_BODY} bytes")
        yield body
        return
    if kind != "text/event-stream":
        raise ProviderError("garbage", f"the answer is {kind[:60] or 'of no declared type'}, neither a stream of events nor JSON")
    async with contextlib.aclosing(payloads(response)) as events:
        async for payload in events:
            if payload == "[DONE]":
                # Read to its end, a connection can be used again. Whoever does not end it must not hold up the answer.
                with contextlib.suppress(TimeoutError, httpx.HTTPError, ProviderError):
                    async with asyncio.timeout(_LINGER):
                        await anext(events, None)
                return
            yield payload


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds, from a header that has those or a date (RFC 9110, 10.2.3)."""
    value = response.headers.get("retry-after", "")
    try:
        seconds = float(value) if value.replace(".", "", 1).isdigit() else _until(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, seconds)


def _until(date: str) -> float:
    return email.utils.parsedate_to_datetime(date).timestamp() - time.time()

"""Reading server-sent events from an endpoint that is not trusted to send them well."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx

from stack.backend.llm.provider import ProviderError

# Bytes of a line. A chunk has a few hundred; a whole answer in one chunk, written as JSON escapes, has six for each character.
_MAX_LINE = 2 * 1024 * 1024

# Bytes of a whole stream: some 200 bytes of JSON around each token of a very long answer.
_MAX_STREAM = 32 * 1024 * 1024


async def payloads(response: httpx.Response) -> AsyncGenerator[str, None]:
    """The `data` of each event (WHATWG HTML, 9.2.6; events of one line, as every endpoint sends them).

    Raises:
        ProviderError: a line or the stream is too long, or it is no text.
    """
    rest = b""
    total = 0
    async for block in response.aiter_bytes():
        total += len(block)
        if total > _MAX_STREAM:
            raise ProviderError("garbage", f"the stream passes {_MAX_STREAM} bytes")
        *lines, rest = (rest + block).split(b"\n")
        if len(rest) > _MAX_LINE:
            raise ProviderError("garbage", f"a line passes {_MAX_LINE} bytes")
        for line in lines:
            if (payload := _payload(line)) is not None:
                yield payload
    # Some endpoints leave out the last newline.
    if (payload := _payload(rest)) is not None:
        yield payload


def _payload(line: bytes) -> str | None:
    if not line.startswith(b"data:"):
        return None
    try:
        return line[len(b"data:") :].strip().decode()
    except UnicodeDecodeError as error:
        raise ProviderError("garbage", "the stream is no UTF-8") from error

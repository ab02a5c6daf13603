"""An endpoint for OpenAI's chat completions that behaves as it is told: it streams, fails, stalls, breaks off and sends garbage.

Real HTTP/1.1 over a real socket, without a framework, so that it can also break the protocol. In a test:

    with openai_server() as server:
        server.will(fail(500), fail(429, retry_after=1))   # the next two requests; all others are answered
        ...  # ask server.url
        assert len(server.requests) == 3

As a process: `python tests/stack/openai_server.py [PORT]`; then `POST /control` takes a JSON list of behaviours, such as
`[{"kind": "fail", "status": 500}]`, and `GET /control` tells the requests so far.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

_HANG_GUARD = 30.0


@dataclass(frozen=True)
class Behaviour:
    """What happens to one request.

    Attributes:
        kind: `answer`, `fail`, `stall`, `break`, `garbage`, `empty` or `error_event`.
        status, retry_after: of a failure.
        after: pieces that are sent before the server stalls, breaks off or sends garbage; -1 is before the answer's head.
        text: what is answered; by default what was asked, after "Echo: ".
        pause: seconds between two pieces.
        held: the answer begins when the test says `release`.
        hold_after: pieces after which the answer waits for `release`.
        usage: whether the answer tells its tokens.
        whole: one JSON body in place of a stream.
        tool: the name of a function to ask for, with the arguments `{"text": ...}` in two pieces.
        open_end: the answer is complete, and the connection stays as it is: no end, nothing more.
        body: the garbage.
        content_type: of garbage.
    """

    kind: str = "answer"
    status: int = 200
    retry_after: str | None = None
    after: int = -1
    text: str | None = None
    pause: float = 0
    held: bool = False
    hold_after: int = -1
    usage: bool = True
    whole: bool = False
    tool: str | None = None
    open_end: bool = False
    body: str = "<html>It works!</html>"
    content_type: str = "text/event-stream"
    message: str = "told to fail"


def answer(text: str | None = None, **further: Any) -> Behaviour:
    return Behaviour(text=text, **further)


def fail(status: int, *, retry_after: float | str | None = None, message: str = "told to fail") -> Behaviour:
    return Behaviour("fail", status, None if retry_after is None else str(retry_after), message=message)


def stall(after: int = -1) -> Behaviour:
    return Behaviour("stall", after=after)


def break_off(after: int = -1, **further: Any) -> Behaviour:
    return Behaviour("break", after=after, **further)


def garbage(body: str, after: int = 0, content_type: str = "text/event-stream") -> Behaviour:
    return Behaviour("garbage", body=body, after=after, content_type=content_type)


@dataclass
class Seen:
    """One request: its headers in lower case, its body, and whether the client stayed to the end of the answer."""

    headers: dict[str, str]
    body: dict[str, Any]
    left: threading.Event = field(default_factory=threading.Event)


class OpenAIServer:
    """The server, in a thread of its own; `url` is what a client takes as its base."""

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Seen] = []
        self.connections = 0
        self.url = ""
        self.port = port
        self.arrived = threading.Semaphore(0)
        self._plan: deque[Behaviour] = deque()
        self._usual = Behaviour()
        self._loop = asyncio.new_event_loop()
        self._gate = asyncio.Event()
        self._end = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(_HANG_GUARD), "the server did not start"

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(_HANG_GUARD)

    def will(self, *behaviours: Behaviour) -> None:
        """What happens to the next requests, one each."""
        self._plan.extend(behaviours)

    def always(self, behaviour: Behaviour) -> None:
        """What happens to every request that has nothing planned."""
        self._usual = behaviour

    def reset(self) -> None:
        """Begin anew, for the next test: every request is answered, none was seen."""
        self._plan.clear()
        self._usual = Behaviour()
        self.requests.clear()
        self.connections = 0
        self.arrived = threading.Semaphore(0)
        self._loop.call_soon_threadsafe(self._gate.clear)

    def release(self) -> None:
        """Let held answers begin, those of later requests as well."""
        self._loop.call_soon_threadsafe(self._gate.set)

    def wait_request(self) -> None:
        """Return when one more request has come."""
        assert self.arrived.acquire(timeout=_HANG_GUARD), "no request came"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._ready.set()
        await self._end.wait()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            while await self._request(reader, writer):
                pass
        writer.close()

    async def _request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request. True when the connection can be used again."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, path, _ = head[0].split(" ", 2)
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if path == "/control":
            return await self._control(writer, method, body)
        if path == "/v1/models":
            return await _json(writer, 200, {"object": "list", "data": [{"id": "echo", "object": "model", "owned_by": "tests"}]})
        if path != "/v1/chat/completions" or method != "POST":
            return await _json(writer, 404, {"error": {"message": f"no {path} here"}})
        seen = Seen(headers, json.loads(body))
        self.requests.append(seen)
        self.arrived.release()
        behaviour = self._plan.popleft() if self._plan else self._usual
        try:
            return await self._behave(behaviour, seen, reader, writer)
        except ConnectionError:
            seen.left.set()
            raise

    async def _control(self, writer: asyncio.StreamWriter, method: str, body: bytes) -> bool:
        if method == "POST":
            self.will(*(Behaviour(**each) for each in json.loads(body)))
        return await _json(
            writer, 200, {"planned": [asdict(each) for each in self._plan], "requests": [s.body for s in self.requests]}
        )

    async def _behave(self, told: Behaviour, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if told.held:
            await self._gate.wait()
        if told.kind == "fail":
            extra = {} if told.retry_after is None else {"Retry-After": told.retry_after}
            return await _json(writer, told.status, {"error": {"message": told.message, "type": "test"}}, extra)
        if told.kind == "stall" and told.after < 0:
            await self._until_left(seen, reader)
            return False
        if told.kind == "break" and told.after < 0:
            return False
        pieces = _pieces(told, seen.body)
        if told.whole:
            return await _json(writer, 200, _whole(told, seen.body, "".join(pieces)))
        content_type = told.content_type if told.kind == "garbage" else "text/event-stream"
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for number, piece in enumerate(pieces):
            if number == told.after:
                break
            if number == told.hold_after:
                await self._gate.wait()
            await _event(writer, _chunk(seen.body, {"content": piece}))
            if told.pause:
                await asyncio.sleep(told.pause)
        if told.kind == "stall":
            await self._until_left(seen, reader)
            return False
        if told.kind == "break":
            return False
        if told.kind == "garbage":
            await _block(writer, told.body.encode("utf-8", "surrogateescape"))
            await _block(writer, b"")
            return True
        if told.kind == "error_event":
            await _event(writer, {"error": {"message": told.message}})
        else:
            await self._finish(told, seen, writer)
        await _block(writer, b"data: [DONE]\n\n")
        if told.open_end:
            await self._until_left(seen, reader)
            return False
        await _block(writer, b"")
        return True

    async def _finish(self, told: Behaviour, seen: Seen, writer: asyncio.StreamWriter) -> None:
        reason = "stop"
        if told.tool:
            reason = "tool_calls"
            for call in _calls(told.tool):
                await _event(writer, _chunk(seen.body, {"tool_calls": [call]}))
        await _event(writer, _chunk(seen.body, {}, reason))
        if told.usage and (seen.body.get("stream_options") or {}).get("include_usage"):
            await _event(writer, _chunk(seen.body, None) | {"usage": _usage(told, seen.body)})

    async def _until_left(self, seen: Seen, reader: asyncio.StreamReader) -> None:
        await reader.read(1)
        seen.left.set()


def _pieces(told: Behaviour, body: dict[str, Any]) -> list[str]:
    if told.kind == "empty":
        return []
    text = told.text if told.text is not None else f"Echo: {body['messages'][-1]['content']}"
    words = text.split(" ")
    return [word if number == len(words) - 1 else f"{word} " for number, word in enumerate(words)] if text else []


def _chunk(body: dict[str, Any], delta: dict[str, Any] | None, finish_reason: str | None = None) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish_reason}]
    return {"id": "test", "object": "chat.completion.chunk", "model": body["model"], "choices": choices}


def _whole(told: Behaviour, body: dict[str, Any], text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"usage": _usage(told, body)} if told.usage else {}
    return {"id": "test", "object": "chat.completion", "model": body["model"], "choices": [choice]} | usage


def _usage(told: Behaviour, body: dict[str, Any]) -> dict[str, Any]:
    """A token a word, on both sides."""
    prompt = sum(len(message["content"].split()) for message in body["messages"])
    completion = len(_pieces(told, body))
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _calls(name: str) -> list[dict[str, Any]]:
    first = {"index": 0, "id": "call-1", "type": "function", "function": {"name": name, "arguments": '{"text": '}}
    return [first, {"index": 0, "function": {"arguments": '"x"}'}}]


async def _json(writer: asyncio.StreamWriter, status: int, body: object, extra: dict[str, str] | None = None) -> bool:
    content = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Content-Length": str(len(content))} | (extra or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + content)
    await writer.drain()
    return True


async def _event(writer: asyncio.StreamWriter, payload: dict[str, Any]) -> None:
    await _block(writer, f"data: {json.dumps(payload)}\n\n".encode())


async def _block(writer: asyncio.StreamWriter, content: bytes) -> None:
    """One chunk of the body; the empty one ends it."""
    writer.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
    await writer.drain()


@contextlib.contextmanager
def openai_server(port: int = 0) -> Iterator[OpenAIServer]:
    """A running server; on the same port again after another one was stopped, when asked for."""
    server = OpenAIServer(port)
    server.start()
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    with openai_server(int(sys.argv[1]) if len(sys.argv) > 1 else 0) as running:
        print(f"Serving {running.url}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()

"""Parts of the backend at their edges: what is lost, what is kept for too long, how they end."""

from __future__ import annotations

import asyncio
import json
import logging
import stat
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from stack.backend import sse
from stack.backend.auth.guard import Principal, unknown
from stack.backend.events import EventBus
from stack.backend.openai_face import CompletionRequest, Face
from stack.backend.router_client import RouterClient
from stack.backend.ws.answering import Answering
from stack.backend.ws.conversation import Conversation
from stack.common import peer
from stack.common.contract import RouteRequest
from stack.common.errors import ApiError
from stack.common.internal import stack_key
from stack.common.log import _Formatter
from stack.common.settings import SettingError
from stack.common.web import RequestContext
from stack.exporter import Exporter
from tests.stack.conftest import GUARD

HELLO = RouteRequest(session_id="a", message="hello")
ANN = Principal("ann", "Ann", "sign-in-1", admin=False)


def test_a_bug_in_a_confirmed_call_is_told() -> None:
    """Whoever confirmed hears of it; it does not vanish in a task that nobody waits for."""

    async def buggy(call_id: str, allow: bool, key: str) -> Any:
        raise RuntimeError("a bug")

    async def run() -> list[str]:
        conversation = Conversation("a", "a", "Ann")
        told: list[str] = []
        conversation.publish = lambda what, /, **fields: told.append(fields["error"]["code"])  # type: ignore[method-assign]
        answering = Answering({}, buggy)
        answering.confirm(conversation, "call-1", allow=True)
        await asyncio.gather(*answering._deciding)
        return told

    assert asyncio.run(run()) == ["internal_error"]


def test_half_a_character_does_not_end_a_conversation() -> None:
    """A tool's argument can hold one, as JSON escapes write it: what is sent can be sent."""
    sent: list[str] = []

    class Client:
        send = sent.append

    conversation = Conversation("a", "a", "Ann")
    conversation.join(Client())  # type: ignore[arg-type]
    conversation.publish("system", text="\ud83d “quoted”")
    assert sent[-1].encode("utf-8")
    assert json.loads(sent[-1])["text"] == "? “quoted”"


def test_events_end_with_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream looks now and then whether its token still holds."""
    monkeypatch.setattr(sse, "CHECK", -1.0)

    async def ended() -> None:
        raise unknown("session_ended", "over")

    async def run() -> list[bytes]:
        return [piece async for piece in sse.stream(EventBus(), None, ANN, ended)]

    assert asyncio.run(run())[-1].startswith(b"event: bye")


def test_a_slow_listener_loses_nothing() -> None:
    """What it gets before its end is without a gap, so that its last id brings all the rest."""
    bus = EventBus()

    async def run() -> tuple[list[str], list[str]]:
        with bus.listen() as (listener, _):
            ids = [bus.publish("ai", {"number": number}).id for number in range(300)]
            got: list[str] = []
            while (event := await listener.next(GUARD)) is not None:
                got.append(event.id)
        with bus.listen(got[-1]) as (_, missed):
            return ids, got + [event.id for event in missed or ()]

    published, heard = asyncio.run(run())
    assert heard == published


@pytest.mark.parametrize(
    ("status", "expected"), [(429, (429, "busy")), (503, (503, "router_starting")), (504, (504, "agent_timeout"))]
)
def test_what_the_router_refuses_is_handed_on(status: int, expected: tuple[int, str]) -> None:
    """Whichever way it is asked, the status says what the matter is; no failure of the router is made of it."""
    seen: list[tuple[int, str]] = []

    async def run() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(status))
        async with httpx.AsyncClient(transport=transport) as client:
            router = RouterClient("http://router", client)
            for call in (router.route(HELLO), router.history("a"), router.forget("a"), anext(router.stream(HELLO))):
                with pytest.raises(ApiError) as caught:
                    await call  # type: ignore[misc]
                seen.append((caught.value.status_code, caught.value.code))

    asyncio.run(run())
    assert seen == [expected] * 4


def test_a_router_that_starts_costs_no_memory() -> None:
    """Each refusal is an error of its own: one that is raised again and again would keep all it came through."""

    async def run() -> int:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(503))) as client:
            router = RouterClient("http://router", client)
            for _ in range(50):
                with pytest.raises(ApiError) as caught:
                    await router.route(HELLO)
        depth, entry = 0, caught.value.__traceback__
        while entry is not None:
            depth, entry = depth + 1, entry.tb_next
        return depth

    assert asyncio.run(run()) < 10


def test_a_hundred_answers_under_way_leave_room_for_more() -> None:
    """The next service is asked over as many connections as answers are under way, and its health beside them."""

    async def run() -> int:
        crowd = 120
        here = asyncio.Barrier(crowd)

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            await here.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0, backlog=crowd) as server, peer.client(GUARD) as client:
            url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            answers = await asyncio.wait_for(asyncio.gather(*(client.get(url) for _ in range(crowd))), GUARD)
        return sum(each.status_code == 204 for each in answers)

    assert asyncio.run(run()) == 120


def test_a_path_cannot_steer_the_terminal() -> None:
    """What a client sent stands in the log as text: no escape sequence, no line of its own."""
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s", ("GET /\x1b[2J\r\n\u2028\x85 “é”",), None)
    assert _Formatter().format(record).endswith("GET /\\x1b[2J\\r\\n\\u2028\\x85 “é”")


def test_a_broken_key_is_told_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The services' common key is no key: a wrong setting, which names the file and what would help."""
    monkeypatch.setenv("STACK_STATE", str(tmp_path))
    (tmp_path / "internal.key").write_text("zz")
    with pytest.raises(SettingError, match=r"internal\.key holds no key; delete it, and the next start makes one"):
        stack_key.__wrapped__()


def test_an_answer_under_way_ends_with_the_service() -> None:
    """A stream of the OpenAI face says that the service stops, as an error that clients understand."""

    class Assistant:
        async def stream(self, key: str, session_id: str, message: str) -> AsyncIterator[dict[str, Any]]:
            yield {"type": "chunk", "text": "one"}
            await asyncio.Event().wait()

    async def run() -> list[str]:
        face = Face(None, Assistant())  # type: ignore[arg-type]
        body = CompletionRequest.model_validate(
            {"model": "assistant", "messages": [{"role": "user", "content": "x"}], "stream": True}
        )
        response = await face.complete(body, ANN)
        told: list[str] = []
        async for line in response.body_iterator:  # type: ignore[attr-defined]
            told.append(line.decode())
            if '"one"' in told[-1]:
                asyncio.get_running_loop().call_soon(face.end)
        return told

    told = asyncio.run(run())
    assert json.loads(told[-1].removeprefix("data: "))["error"]["code"] == "stopping"


def test_a_request_that_outlives_the_service_is_answered() -> None:
    """One that is given up at the end gets a 503 in the common shape, not a broken connection."""
    sent: list[Any] = []

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    async def run() -> None:
        scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
        asked = asyncio.create_task(RequestContext(endless)(scope, send, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])

    asyncio.run(run())
    assert sent[0]["status"] == 503
    assert json.loads(sent[1]["body"])["error"]["code"] == "stopping"


def test_a_devctl_that_hangs_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exporter gives up on it, and ends it as well."""
    command = tmp_path / "devctl"
    command.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid.new\nmv {tmp_path}/pid.new {tmp_path}/pid\nexec sleep 1000\n")
    command.chmod(stat.S_IRWXU)
    monkeypatch.setenv("DEVCTL_RUN_ID", "run")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

    async def run() -> None:
        finding = asyncio.create_task(Exporter()._find())
        await until((tmp_path / "pid").exists)
        finding.cancel()
        await asyncio.gather(finding, return_exceptions=True)
        await until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists())

    asyncio.run(run())


async def until(true: Callable[[], bool]) -> None:
    """Waits for what another process does."""
    deadline = time.monotonic() + GUARD
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)

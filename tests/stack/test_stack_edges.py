"""The backend's edges: answers stopped or forgotten at an awkward moment, sign-ins that end, clients that misbehave."""

from __future__ import annotations

import asyncio
import json
import socket

import httpx
import openai
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.stack.conftest import GUARD, Scene
from tests.stack.openai_server import answer
from tests.stack.wire import Wire, wire


def closing(talk: Wire) -> int:
    """The code with which the server ends a connection."""
    with pytest.raises(ConnectionClosed) as caught:
        talk.until("never")
    assert caught.value.rcvd is not None, "the connection broke without a close"
    return caught.value.rcvd.code


def sign_in(scene: Scene) -> dict[str, str]:
    """The header of a sign-in of its own."""
    return {"Authorization": f"Bearer {scene.backend.post('/api/auth/demo').json()['access_token']}"}


def test_an_answer_stopped_at_once_says_so(scene: Scene) -> None:
    """`cancel` right behind the message: the answer has not begun, and the client still hears of its end."""
    scene.model.reset()
    with wire(scene.backend, "at-once") as talk:
        talk.send("message", text="count", mode="direct")
        talk.send("cancel")
        assert talk.until("error")["error"]["code"] == "cancelled"
        assert talk.ask("and now?", mode="direct")["reply"] == "Echo: and now?"


def test_a_message_that_is_refused_changes_no_mode(scene: Scene) -> None:
    """The second message comes too early: the first is answered by whom it was for."""
    with wire(scene.backend, "early") as talk:
        talk.send("message", text="is everything healthy?", mode="assistant")
        talk.send("message", text="count", mode="direct")
        assert talk.until("stream_end")["agent"] == "ops"


def test_forgetting_is_forgetting_with_a_model_directly(scene: Scene) -> None:
    """After DELETE the model gets nothing of what was said, and a second DELETE finds nothing."""
    scene.model.reset()
    path = "/api/assistant/sessions/secret"
    with wire(scene.backend, "secret") as talk:
        talk.ask("my name is Ada", mode="direct")
        assert [scene.backend.request("DELETE", path).status_code for _ in range(2)] == [204, 404]
        assert talk.ask("who am I?", mode="direct")["history_length"] == 2
    assert "Ada" not in json.dumps(scene.model.requests[-1].body)


def test_pages_of_a_forgotten_conversation_stay_together(scene: Scene) -> None:
    """A page that was there before and one that comes afterwards see the same; what was said before is not told again."""
    with wire(scene.backend, "together") as one:
        one.ask("a secret word", mode="direct")
        scene.backend.request("DELETE", "/api/assistant/sessions/together")
        with wire(scene.backend, "together") as two:
            assert two.messages[0]["message_count"] == 0
            end = one.ask("hello again")
            two.send("resume", after=0)
            assert two.until("stream_end") == end
            two.send("ping")
            two.until("pong")
            assert "secret word" not in json.dumps(two.messages)


def test_forgetting_stops_the_answer_under_way(scene: Scene) -> None:
    """It ends with an error, and nothing of it is remembered."""
    scene.model.reset()
    scene.model.will(answer("one two", hold_after=1))
    with wire(scene.backend, "midst") as talk:
        talk.send("message", text="count", mode="direct")
        talk.until("stream_chunk")
        scene.backend.request("DELETE", "/api/assistant/sessions/midst")
        assert talk.until("error")["error"]["code"] == "cancelled"
        scene.model.release()
        assert talk.ask("hello", mode="direct")["history_length"] == 2


@pytest.mark.parametrize("origin", ["http://[", "http://evil.example"])
def test_pages_from_elsewhere_are_refused_in_words(scene: Scene, origin: str) -> None:
    """Whatever an Origin looks like: 403 in the common shape, and a line in the log."""
    with pytest.raises(InvalidStatus) as caught, wire(scene.backend, "elsewhere", origin=origin):
        pass
    assert caught.value.response.status_code == 403
    assert json.loads(bytes(caught.value.response.body))["error"]["code"] == "other_origin"
    assert origin in scene.backend.wait_line("A page from elsewhere")


@pytest.mark.parametrize("kind", ["dance", "é" * 200])
def test_a_first_message_that_makes_no_sense_breaks_the_rules(scene: Scene, kind: str) -> None:
    """Trying again would not help, so the code does not say so; and the reason fits into a close, in whatever letters."""
    with wire(scene.backend, "senseless", token="") as talk:
        talk.send(kind)
        assert closing(talk) == 1008


def test_the_newer_sign_in_decides(scene: Scene) -> None:
    """A connection that signed in anew outlives its first sign-in, and ends with the second."""
    first, second = sign_in(scene), sign_in(scene)
    token = second["Authorization"].removeprefix("Bearer ")
    with wire(scene.backend, "renewed", token=first["Authorization"].removeprefix("Bearer ")) as talk:
        talk.send("auth", token=token)
        talk.send("ping")
        talk.until("pong")
        scene.backend.post("/api/auth/logout", headers=first)
        talk.send("ping")
        talk.until("pong")
        scene.backend.post("/api/auth/logout", headers=second)
        assert closing(talk) == 4401


def test_events_end_with_the_sign_in(scene: Scene) -> None:
    """Who signs out hears no more of what happens."""
    mine = sign_in(scene)
    with httpx.stream("GET", scene.backend.url + "/api/events", headers=mine, timeout=GUARD, trust_env=False) as response:
        lines = response.iter_lines()
        assert next(lines).startswith("retry")
        scene.backend.post("/api/auth/logout", headers=mine)
        assert "event: bye" in list(lines)


def test_a_flood_of_one_conversation_is_told_so(scene: Scene) -> None:
    """The 429 of the router arrives with who sends too much."""
    scene.model.reset()
    scene.model.always(answer(held=True))
    body = {"message": "write a haiku", "session_id": "flood"}

    async def run() -> list[int]:
        async with httpx.AsyncClient(trust_env=False, headers=scene.backend.signed_in, timeout=GUARD) as client:
            url = scene.backend.url + "/api/assistant/chat"
            asked = [asyncio.create_task(client.post(url, json=body)) for _ in range(23)]
            done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
            scene.model.release()
            await asyncio.gather(*asked)
            return [each.result().status_code for each in done]

    try:
        assert set(asyncio.run(run())) == {429}
    finally:
        scene.model.reset()


def test_pings_without_end_are_cut_off(scene: Scene) -> None:
    """A client that pings and reads no answers is dropped before they fill the memory."""
    frame = b"\x89\xfd\0\0\0\0" + b"x" * 125
    head = (
        "GET /ws/assistant/x HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(GUARD)
        raw.connect(("127.0.0.1", int(scene.backend.url.rpartition(":")[2])))
        raw.sendall(head.encode())
        while b"\r\n\r\n" not in raw.recv(4096):
            pass
        with pytest.raises(ConnectionError):
            flood(raw, frame * 1000)
    scene.backend.wait_line("sends pings and takes no answers")


def flood(raw: socket.socket, block: bytes) -> None:
    """Sends more than any buffer takes."""
    for _ in range(200):
        raw.sendall(block)


def test_optional_fields_may_be_null(scene: Scene) -> None:
    """The official client sends `None` as null, which the API allows."""
    scene.model.reset()
    with openai.OpenAI(base_url=scene.backend.url + "/v1", api_key=scene.backend.token(), max_retries=0) as client:
        completion = client.chat.completions.create(
            model="default",
            messages=[{"role": "user", "content": "hi"}],
            stream=None,
            n=None,
            temperature=None,
            tool_choice=None,  # type: ignore[call-overload]
        )
    assert completion.choices[0].message.content == "Echo: hi"

"""The assistant over WebSockets: streaming, coming back, clients that do not read, and who may connect."""

from __future__ import annotations

import json
import signal
import socket
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.stack.conftest import GUARD, Launcher, Scene, Service, start_backend
from tests.stack.openai_server import OpenAIServer, answer
from tests.stack.wire import Wire, wire

LONG = " ".join(["x" * 2000] * 100)  # one answer; several of them fill every buffer between two processes


def hold(model: OpenAIServer, text: str, after: int) -> None:
    """The next answer is `text`, and waits after some words until `model.release()`."""
    model.reset()
    model.will(answer(text, hold_after=after))


def closing(talk: Wire) -> tuple[int, str]:
    """The code and reason with which the server ends a connection."""
    with pytest.raises(ConnectionClosed) as caught:
        talk.until("never")
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_an_answer_streams(scene: Scene) -> None:
    """`stream_start` tells who answers, the chunks make up the reply, `stream_end` has it whole."""
    with wire(scene.backend, "streams") as talk:
        end = talk.ask("what does depends_on do?")
        kinds = [message["type"] for message in talk.messages]
        assert kinds[:3] == ["connected", "typing", "stream_start"]
        started = talk.messages[2]
        assert (started["agent"], started["intent"]) == (end["agent"], end["intent"])
        chunks = [message["text"] for message in talk.messages if message["type"] == "stream_chunk"]
        assert "".join(chunks) == end["reply"]
        assert "depends_on" in end["reply"]
        assert end["timings"].keys() == {"classify_ms", "agent_ms", "total_ms"}


def test_a_model_streams_as_it_writes(scene: Scene) -> None:
    """A chunk arrives while the model has not ended yet: the answer is not collected first."""
    hold(scene.model, "one two three", 1)
    with wire(scene.backend, "slowly") as talk:
        talk.send("message", text="count 0", mode="direct")
        assert talk.until("stream_chunk")["text"].strip() == "one"
        scene.model.release()
        assert talk.until("stream_end")["reply"] == "one two three"


def test_what_was_missed_is_sent_again(scene: Scene) -> None:
    """A client that lost its connection in the midst comes back, and has every message once, in order."""
    hold(scene.model, "one two three four", 2)
    with wire(scene.backend, "returns") as talk:
        talk.send("message", text="count 1", mode="direct")
        seen = talk.until("stream_chunk")
        talk.connection.socket.shutdown(socket.SHUT_RDWR)
    scene.model.release()
    with wire(scene.backend, "returns", token="") as again:
        again.send("auth", token=scene.backend.token())
        hello = again.until("connected")
        assert (hello["resumed"], hello["mode"], hello["message_count"]) == (True, "direct", 1)
        again.send("resume", after=seen["id"])
        end = again.until("stream_end")
        numbers = [message["id"] for message in again.messages if "id" in message]
        assert numbers == list(range(seen["id"] + 1, end["id"] + 1))
        rest = "".join(message["text"] for message in again.messages if message["type"] == "stream_chunk")
        assert seen["text"] + rest == end["reply"] == "one two three four"


def test_pages_of_one_conversation_see_the_same(scene: Scene) -> None:
    """Two pages, one question: both get the answer, with the same numbers."""
    with wire(scene.backend, "shared") as one, wire(scene.backend, "shared") as two:
        end = one.ask("hello")
        assert two.until("stream_end") == end


def test_conversations_are_their_accounts_own(scene: Scene) -> None:
    """The same name in another account is another conversation."""
    other = scene.backend.post("/api/auth/register", {"name": "ann", "password": "correct horse battery"}).json()["access_token"]
    with wire(scene.backend, "private") as mine:
        mine.ask("hello")
    with wire(scene.backend, "private", token="") as theirs:
        theirs.send("auth", token=other)
        assert theirs.until("connected")["resumed"] is False
    path = "/api/assistant/sessions/private/history"
    assert scene.backend.get(path).json()["history_length"] == 2
    assert scene.backend.get(path, headers={"Authorization": f"Bearer {other}"}).json()["turns"] == []


def test_an_answer_can_be_stopped(scene: Scene) -> None:
    """`cancel` ends the answer under way; the next message is answered."""
    hold(scene.model, "one two three", 1)
    with wire(scene.backend, "stopped") as talk:
        talk.send("message", text="count 2", mode="direct")
        talk.until("stream_chunk")
        talk.send("message", text="and then?")
        assert talk.until("error")["error"]["code"] == "answering"
        talk.send("cancel")
        assert talk.until("error")["error"]["code"] == "cancelled"
        scene.model.release()
        scene.model.will(answer("four"))
        assert talk.ask("go on")["reply"] == "four"


def test_a_client_that_does_not_read_is_dropped(scene: Scene) -> None:
    """Others are served meanwhile; it is ended once its bound is reached, and can come back."""
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    narrow.connect(("127.0.0.1", int(scene.backend.url.rpartition(":")[2])))
    with wire(scene.backend, "lazy") as quick, wire(scene.backend, "lazy", sock=narrow, max_queue=1, close_timeout=0.1):
        before = dropped(scene.backend)
        for number in range(400):
            scene.model.will(answer(LONG))
            assert quick.ask(f"write {number}", mode="direct")["reply"] == LONG
            if dropped(scene.backend) > before:
                break
        else:
            pytest.fail("it was never dropped")
        assert scene.backend.get("/api/websocket/stats").json()["connections"] >= 1
        with wire(scene.backend, "lazy") as back:
            assert back.messages[0]["resumed"] is True


def dropped(backend: Service) -> float:
    """How many clients were too slow so far."""
    for line in backend.get("/metrics").text.splitlines():
        if line.startswith('assistant_websocket_errors_total{kind="slow"}'):
            return float(line.split()[-1])
    return 0.0


@pytest.mark.parametrize(
    "first", [{"type": "auth", "token": "x"}, {"type": "ping"}, {"type": "message", "text": "hello"}, "nonsense"]
)
def test_strangers_are_refused(scene: Scene, first: Any) -> None:
    """Without a token that holds, the first message ends the connection."""
    with wire(scene.backend, "stranger", token="") as talk:
        talk.connection.send(json.dumps(first))
        code, _ = closing(talk)
        assert code in (4401, 1008)
        assert not talk.messages


def test_a_revoked_sign_in_ends_its_connections(scene: Scene) -> None:
    """Signing out closes what was opened with it."""
    token = scene.backend.post("/api/auth/demo").json()["access_token"]
    with wire(scene.backend, "revoked", token=token) as talk:
        left = scene.backend.post("/api/auth/logout", headers={"Authorization": f"Bearer {token}"})
        assert left.status_code == 204
        assert closing(talk)[0] == 4401


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
def test_other_origins_are_refused(scene: Scene, origin: str) -> None:
    """A page from elsewhere cannot open a WebSocket here, whatever it knows."""
    with pytest.raises(InvalidStatus) as caught, wire(scene.backend, "elsewhere", origin=origin):
        pass
    assert caught.value.response.status_code == 403


def test_the_pages_own_origin_may(scene: Scene) -> None:
    """As browsers send it."""
    with wire(scene.backend, "own", origin=scene.backend.url) as talk:
        talk.send("ping")
        assert talk.until("pong")["session_id"] == "own"


@pytest.mark.parametrize("text", ["{", '{"type": "dance"}', '{"type": "message", "text": ""}', '{"type": "resume", "after": -1}'])
def test_messages_that_make_no_sense_are_said(scene: Scene, text: str) -> None:
    """One is answered with an error, and the connection goes on; too many end it."""
    with wire(scene.backend, "senseless") as talk:
        talk.connection.send(text)
        assert talk.until("error")["error"]["code"] == "invalid_message"
        talk.send("ping")
        talk.until("pong")
        for _ in range(20):
            talk.connection.send(text)
        assert closing(talk)[0] == 1008


def test_a_message_that_is_too_large_ends_the_connection(scene: Scene) -> None:
    """64 KiB is the bound of a message; it is not even read to its end."""
    with wire(scene.backend, "large") as talk:
        talk.connection.send("x" * 70_000)
        assert closing(talk)[0] == 1009


def test_a_gap_is_said(scene: Scene) -> None:
    """Who asks for what never was is told so, and gets what there is."""
    with wire(scene.backend, "gap") as talk:
        talk.ask("hello")
        talk.send("resume", after=10**6)
        assert talk.until("system")["kind"] == "gap"
        talk.until("stream_end")


def test_a_goodbye_at_the_end(launcher: Launcher, scene: Scene) -> None:
    """On SIGTERM every client is told, its answer ends, and the exit is clean."""
    backend = start_backend(launcher, scene.model)
    hold(scene.model, "one two three", 1)
    with wire(backend) as talk:
        talk.send("message", text="count 3", mode="direct")
        talk.until("stream_chunk")
        backend.process.send_signal(signal.SIGTERM)
        assert talk.until("system")["kind"] == "stopping"
        assert closing(talk)[0] == 1001
    scene.model.release()
    assert backend.process.wait(GUARD) == 0

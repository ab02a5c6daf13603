"""The stream of events: what a newcomer is told, what is told at once, and what is told again."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from stack.backend.events import EventBus
from tests.stack.conftest import GUARD, Launcher, Scene, Service


class Events:
    """An open stream."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> dict[str, Any]:
        """The next event, as `id`, `event` and `data`."""
        found: dict[str, Any] = {}
        for line in self._lines:
            name, _, value = line.partition(": ")
            if line and name:
                found[name] = json.loads(value) if name == "data" else value
            elif "event" in found:
                return found
        pytest.fail("the stream has ended")

    def until(self, kind: str) -> dict[str, Any]:
        """The next event of a kind."""
        while (event := self.next())["event"] != kind:
            pass
        return event


@contextmanager
def listen(backend: Service, after: str | None = None) -> Iterator[Events]:
    """A stream of the backend's events."""
    headers = backend.signed_in | ({} if after is None else {"Last-Event-ID": after})
    with httpx.stream("GET", backend.url + "/api/events", headers=headers, timeout=GUARD, trust_env=False) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Events(response)


def test_a_newcomer_is_told_how_things_are(scene: Scene) -> None:
    """The first event has every component with its state."""
    with listen(scene.backend) as events:
        services = {each["name"]: each["status"] for each in events.until("services")["data"]["services"]}
        assert {"router", "database", "redis", "cache", "llm", "queue", "tools"} <= services.keys()
        assert services["database"] == "ok"


def test_answers_are_told_once_and_resumed(scene: Scene) -> None:
    """Who comes back with the last id gets what came after it, and nothing else."""
    with listen(scene.backend) as events:
        events.until("services")
        scene.backend.post("/api/assistant/chat", {"message": "hello"})
        first = events.until("ai")
        assert first["data"]["agent"] == "chat"
    scene.backend.post("/api/assistant/chat", {"message": "is everything healthy?"})
    with listen(scene.backend, first["id"]) as events:
        assert events.until("ai")["data"]["intent"].startswith("ops")


@pytest.mark.parametrize("after", ["other-1", "x", "0-99999999999999999999"])
def test_an_id_of_another_run_resets(scene: Scene, after: str) -> None:
    """What was missed cannot be told, and that is said; then comes what a newcomer gets."""
    with listen(scene.backend, after) as events:
        assert events.next()["event"] == "reset"
        assert events.next()["event"] == "services"


def test_a_lost_router_is_told_at_once(launcher: Launcher) -> None:
    """The page learns of it without asking; on SIGTERM the stream says goodbye and ends."""
    router = launcher.start("router")
    backend = launcher.start("backend", ROUTER_URL=router.url)
    with listen(backend) as events:
        while status(events.until("services"), "router") not in ("ok", "starting"):
            pass
        router.process.kill()
        while status(events.until("services"), "router") != "unreachable":
            pass
        backend.process.send_signal(signal.SIGTERM)
        events.until("bye")
    assert backend.process.wait(GUARD) == 0


def status(event: dict[str, Any], name: str) -> str:
    """A component's state in an event."""
    return next(each["status"] for each in event["data"]["services"] if each["name"] == name)


def test_listeners_that_go_are_forgotten(launcher: Launcher) -> None:
    """A connection that breaks leaves no listener behind, or they would pile up."""
    backend = launcher.start("backend")
    with socket.create_connection(("127.0.0.1", int(backend.url.rpartition(":")[2]))) as client:
        client.sendall(f"GET /api/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {backend.token()}\r\n\r\n".encode())
        client.settimeout(GUARD)
        while b"event: services" not in client.recv(65536):
            pass
        assert backend.get("/health").json()["components"]["events"]["listeners"] == 1
    for _ in range(1000):
        if backend.get("/health").json()["components"]["events"]["listeners"] == 0:
            return
    pytest.fail("it is still listed")


def test_a_listener_that_does_not_read_is_ended() -> None:
    """Its bound is reached, it is told to come back, and nobody waits for it."""
    bus = EventBus()
    with bus.listen() as (listener, _):
        for number in range(1000):
            bus.publish("ai", {"number": number})
        assert listener.ended
    assert bus.listeners == 0


def test_only_what_is_remembered_can_be_resumed() -> None:
    """Every id that is kept gives exactly what follows it; an older one gives nothing to rely on."""
    bus = EventBus()
    ids = [bus.publish("ai", {"number": number}).id for number in range(700)]
    for position in (200, 450, 699):
        with bus.listen(ids[position]) as (_, missed):
            assert missed is not None
            assert [event.id for event in missed] == ids[position + 1 :]
    with bus.listen(ids[198]) as (_, missed):
        assert missed is None


def test_jobs_are_told_to_their_account_only(scene: Scene) -> None:
    """Each of two accounts hears of its own job, at every step, and of no other."""
    other = scene.backend.post("/api/auth/register", {"name": "bea", "password": "correct horse battery"}).json()["access_token"]
    with listen(scene.backend) as events:
        events.until("services")
        for job, headers in (("theirs", {"Authorization": f"Bearer {other}"}), ("mine", {})):
            accepted = scene.backend.post("/api/assistant/jobs", {"prompt": "hello", "id": job}, headers=headers)
            assert accepted.status_code == 202
        told = [events.until("queue")["data"]]
        while told[-1]["state"] != "done":
            told.append(events.until("queue")["data"])
        assert {each["id"] for each in told} == {"mine"}

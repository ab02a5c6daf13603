"""What each route asks of the supervisor, and what it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from devctl.control import requests
from devctl.control.client import Client
from devctl.errors import UnknownService, UsageError
from devctl.model import ServiceState
from devctl.plan import LogSettings, Plan, ServiceSpec, to_json
from tests.control.running import GUARD, Running

PLAN = Plan(
    name="s",
    directory="/srv",
    files=("/srv/services.yaml",),
    services={"web": ServiceSpec(name="web", argv=("sleep", "1"), command="sleep 1", working_dir="/srv")},
    logging=LogSettings(dir="/srv/logs"),
)


@pytest.fixture
def http(running: Running) -> Iterator[httpx.Client]:
    """A second kind of client, which shows status and headers."""
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(running.socket_path)), base_url="http://devctl") as client:
        yield client


@pytest.mark.parametrize(
    ("path", "body", "call"),
    [
        ("/v1/services/router/start", {}, ("start", ["router"], True)),
        ("/v1/services/router/start", {"with_dependencies": False}, ("start", ["router"], False)),
        ("/v1/services/router/stop", {}, ("stop", ["router"], False)),
        ("/v1/services/router/restart", {"with_dependents": True}, ("restart", ["router"], True)),
        ("/v1/start", {"services": ["router", "backend", "router"]}, ("start", ["router", "backend"], True)),
        ("/v1/stop", {"services": ["backend"], "with_dependents": True}, ("stop", ["backend"], True)),
        ("/v1/restart", {"services": ["backend"]}, ("restart", ["backend"], False)),
    ],
)
def test_operation_reaches_the_supervisor(running: Running, path: str, body: dict[str, Any], call: tuple[Any, ...]) -> None:
    """An operation is called once with its names and option, and the answer has these services as they are then."""
    answer = running.client.post(path, body)
    assert running.supervisor.calls == [call]
    assert [service["name"] for service in answer["services"]] == call[1]


def test_signal_is_sent(running: Running) -> None:
    """A signal's name is passed on."""
    assert running.client.post("/v1/services/router/signal", {"signal": "SIGHUP"}) == {}
    assert running.supervisor.calls == [("signal", "router", "SIGHUP")]


def test_reload_hands_the_plan_over(running: Running) -> None:
    """The plan arrives as it was."""
    answer = running.client.post("/v1/reload", {"plan": to_json(PLAN)})
    assert answer["restarted"] == ["backend"]
    assert running.supervisor.calls == [("reload", PLAN)]


def test_environment_keeps_bytes_that_are_no_text(running: Running) -> None:
    """A value that is no UTF-8 comes back as the same lone surrogates."""
    answer = running.client.get("/v1/services/router/environment")
    assert answer["environment"]["ODD"] == "caf\udce9"
    assert answer["argv"] == ["python", "-m", "router"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/services/nope",
        *(f"/v1/services/nope/{what}" for what in ("why", "health", "processes", "environment")),
        "/v1/services/%2e%2e/logs",
        "/v1/wait?services=nope",
    ],
)
def test_unknown_service(running: Running, path: str) -> None:
    """A wrong name is UnknownService at the client too, with the names that exist."""
    with pytest.raises(UnknownService, match="router, backend"):
        running.client.get(path)


@pytest.mark.parametrize(
    ("path", "body", "message", "mend"),
    [
        ("/v1/stop", b'{"servces": ["a"]}', "unknown key 'servces'", "did you mean 'services'?"),
        ("/v1/stop", b'{"zzz": 1}', "unknown key 'zzz'", "possible here: services, with_dependents"),
        ("/v1/stop", b'{"services": "router"}', "'services' in the request body is of the wrong type", "a list of service names"),
        ("/v1/stop", b'{"services": [1]}', "wrong type", "a list of service names"),
        ("/v1/stop", b'{"services": ["router"], "with_dependents": 1}', "wrong type", "true or false"),
        ("/v1/stop", b'{"services": []}', "no service is named", "services"),
        ("/v1/stop", b"", "no service is named", "services"),
        ("/v1/stop", b"{", "not JSON", "JSON object"),
        ("/v1/stop", b"\xff\xfe\xfa", "not JSON", "JSON object"),
        ("/v1/stop", b"[" * 60_000, "not JSON", "JSON object"),
        ("/v1/stop", b"[1]", "not an object", "services"),
        ("/v1/stop?force=true", b"", "unknown parameter 'force'", "nothing"),
        ("/v1/services/router/signal", b"{}", "no signal is named", "SIGHUP"),
        ("/v1/services/router/signal", b'{"signal": "BREAK"}', "no signal", "SIGHUP"),
        ("/v1/reload", b"{}", "no plan", "to_json"),
        ("/v1/reload", b'{"plan": {"version": 99}}', "plan version 99", "devctl down"),
        ("/v1/reload", b'{"plan": {"version": 1}}', "KeyError", "devctl down"),
        ("/v1/reload", b'{"plan": {"version": 1, "name": 1, "directory": 1, "files": [], "services": 1}}', "AttributeError", "up"),
    ],
)
def test_bad_request_is_explained(http: httpx.Client, running: Running, path: str, body: bytes, message: str, mend: str) -> None:
    """What cannot be done is a 400 that says what is wrong and what would mend it, and nothing is done."""
    answer = http.post(path, content=body)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert message in error["message"]
    assert mend in error["mend"]
    assert error["exit_status"] == 2
    assert running.supervisor.calls == []


@pytest.mark.parametrize(
    "query",
    [
        "timeout=soon",
        "timeout=nan",
        "timeout=inf",
        "timeout=-1",
        "timeout=1e9",
        "for=coffee",
        "fro=ready",
        "timeout=1&timeout=2",
    ],
)
def test_bad_wait_is_refused(running: Running, query: str) -> None:
    """Parameters are checked, not guessed."""
    with pytest.raises(UsageError):
        running.client.get(f"/v1/wait?{query}")


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "%D9%A3", "9" * 30])
def test_bad_event_id_is_refused(running: Running, after: str) -> None:
    """An id is a whole number."""
    with pytest.raises(UsageError, match="after="):
        running.client.get(f"/v1/events?after={after}")


def test_announced_body_is_bounded(http: httpx.Client) -> None:
    """A body that is announced as too large is refused without being read."""
    answer = http.post("/v1/stop", content=b" " * (requests.SMALL_BODY + 1))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "too_large"


def test_chunked_body_is_bounded(http: httpx.Client) -> None:
    """A body without an announced length is cut off at the bound."""
    blocks = (b" " * 1024 for _ in range(requests.SMALL_BODY // 1024 + 10))
    answer = http.post("/v1/stop", content=blocks)
    assert answer.status_code == 413


def test_large_plan_is_taken(running: Running) -> None:
    """A reload may be as large as real manifests make it."""
    service = PLAN.services["web"]
    many = {f"web-{n}": service for n in range(2000)}
    plan = Plan(PLAN.name, PLAN.directory, PLAN.files, many, PLAN.logging)
    running.client.post("/v1/reload", {"plan": to_json(plan)})
    assert len(running.supervisor.calls[0][1].services) == 2000


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nope", 404), ("GET", "/v1/status/", 404), ("POST", "/v1/status", 405), ("HEAD", "/v1/lease", 405)],
)
def test_wrong_path_or_method(http: httpx.Client, method: str, path: str, status: int) -> None:
    """What is no route is an error in the API's shape, and no redirect."""
    answer = http.request(method, path)
    assert answer.status_code == status
    if method != "HEAD":
        assert answer.json()["error"]["mend"]


def test_wait_is_answered_when_it_is_so(running: Running) -> None:
    """A wait ends as soon as the condition holds."""
    waiting = _ask(running.client, "/v1/wait?services=router&for=stopped&timeout=60")

    async def change() -> None:
        await running.supervisor.until(lambda: running.supervisor.waiting)
        running.supervisor.set_state("router", ServiceState.STOPPED)

    wake(running, lambda: running.supervisor.waiting)
    running.do(change)
    assert waiting()["done"] is True


def test_wait_says_what_is_impossible(running: Running) -> None:
    """A wait for what can no longer happen ends at once and names the services."""
    running.call(lambda: running.supervisor.set_state("router", ServiceState.FAILED))
    answer = running.client.wait(condition="completed")
    assert (answer["done"], answer["timed_out"], answer["impossible"]) == (False, False, ["router"])


def test_wait_ends_in_time(running: Running) -> None:
    """A wait that is not met ends with its timeout and the services as they are, and asks no further."""
    answer = running.client.wait(["router"], "stopped", timeout=0.01)
    assert (answer["done"], answer["timed_out"]) == (False, True)
    assert [service["state"] for service in answer["services"]] == ["ready"]
    wake(running, lambda: not running.supervisor.waiting)


def test_wait_without_time_says_how_it_is(running: Running) -> None:
    """A timeout of 0 is a question."""
    assert running.client.wait(["router"], "ready", timeout=0)["done"] is True


def test_wait_ends_with_its_client(running: Running) -> None:
    """When the client goes, nobody waits for it any longer."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(running.socket_path))
        client.sendall(b"GET /v1/wait?for=stopped HTTP/1.1\r\nHost: x\r\n\r\n")
        wake(running, lambda: running.supervisor.waiting)
    wake(running, lambda: not running.supervisor.waiting)


def test_wait_ends_with_the_server(running: Running) -> None:
    """A wait that is open when the server closes is answered."""
    waiting = _ask(running.client, "/v1/wait?for=stopped")
    wake(running, lambda: running.supervisor.waiting)
    running.close_server()
    assert waiting()["timed_out"] is False


def test_events_as_a_list(running: Running) -> None:
    """Without the stream's media type, what is in memory is given, from an id on and filtered."""
    running.call(lambda: running.supervisor.emit("service_state", "router", state="ready"))
    running.call(lambda: running.supervisor.emit("stack_state", state="ready"))
    events = running.client.get("/v1/events")["events"]
    assert [event["id"] for event in events] == [1, 2]
    assert [event["id"] for event in running.client.get("/v1/events?after=1")["events"]] == [2]
    assert [event["id"] for event in running.client.get("/v1/events?service=router,backend")["events"]] == [1]
    assert [event["id"] for event in running.client.get("/v1/events?type=stack_state")["events"]] == [2]


def test_metrics_have_their_content_type(http: httpx.Client) -> None:
    """Prometheus is told which format it gets."""
    answer = http.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'devctl_service_restarts_total{stack="assistant",service="router"} 2\n' in answer.text


def test_answers_are_ascii(http: httpx.Client) -> None:
    """JSON is pure ASCII, so that nothing depends on a decoder's mood."""
    answer = http.get("/v1/services/router/environment")
    assert answer.content.isascii()
    assert json.loads(answer.content)["environment"]["ODD"] == "caf\udce9"


def wake(running: Running, condition: Callable[[], Any]) -> None:
    """Waits until `condition` holds at the supervisor."""
    running.do(lambda: running.supervisor.until(condition))


def _ask(client: Client, path: str) -> Callable[[], dict[str, Any]]:
    """Asks in a thread; the function that is returned gives the answer."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(client.get, path)
    pool.shutdown(wait=False)
    return lambda: future.result(GUARD)

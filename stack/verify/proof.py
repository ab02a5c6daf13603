"""What is proved, step by step."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx

from stack.verify.stage import PATIENCE, Stage, Unproven, accepts, processes_of, until
from stack.verify.visitor import Visitor

Step = tuple[str, Callable[[], str]]


class Proof:
    """The steps over one run of the stack. Each uses what those before it left.

    Args:
        stage: where it runs.
        full: whether the servers of the profile `full` are part of it.
    """

    def __init__(self, stage: Stage, *, full: bool) -> None:
        self._stage = stage
        self._full = full
        self._session = uuid.uuid4().hex
        self._visitors: list[Visitor] = []
        self._history = 0
        self._run_id = ""
        self._ports: list[int] = []

    def close(self) -> None:
        """Give the connections back."""
        for visitor in self._visitors:
            visitor.close()

    def steps(self) -> Iterator[Step]:
        """What to do, in order: a name, and a call that returns what it found or raises Unproven."""
        yield "everything becomes ready", self._start
        yield "every service is healthy", self._health
        yield "only who is signed in gets answers", self._sign_in
        yield "a conversation has a history", self._converse
        yield "an answer streams over the WebSocket", self._stream
        yield "a model's answer comes from the cache the second time", self._cache
        yield "a job is done", self._job
        yield "the stack tells how it is, through its tools", self._tools
        if self._full:
            yield "Redis goes and comes, the conversation stays", self._redis
            yield "NATS goes and comes, jobs go on", self._nats
            yield "Prometheus reads every service", self._prometheus
        yield "the router is killed, and answers again", self._kill_router
        yield "the backend is killed, and answers again", self._kill_backend
        yield "nothing is left", self._stop

    @property
    def _visitor(self) -> Visitor:
        return self._visitors[-1]

    def _start(self) -> str:
        self._stage.devctl("up", "--detach", "--auto-ports", "--timeout", f"{PATIENCE * 0.9:g}s")
        status = self._stage.status()
        self._run_id = status["run_id"]
        self._ports = [port for service in status["services"] for port in service["ports"].values()]
        late = [service["name"] for service in status["services"] if service["state"] not in ("ready", "completed")]
        _hold(not late, f"not ready: {', '.join(late)}")
        return f"{len(status['services'])} services"

    def _health(self) -> str:
        for name in ("router", "backend", "frontend"):
            until(lambda name=name: self._own_health(name)["status"] == "ok", f"{name} calls itself ok")  # type: ignore[misc]
        components = self._own_health("backend")["components"]
        redis = components["redis"]["detail"]
        _hold((redis == "connected") == self._full, f"Redis is {redis}")
        return ", ".join(sorted(components))

    def _sign_in(self) -> str:
        self._visitors.append(Visitor(self._stage.service("frontend")["url"]))
        refused = self._visitor.stranger("/api/auth/me")
        _hold(refused == 401, f"a stranger was answered {refused}")
        return f"as {self._visitor.get('/api/auth/me')['account']['name']}"

    def _converse(self) -> str:
        greeted = self._visitor.chat(self._session, "hello")
        asked = self._visitor.chat(self._session, "what does the depends_on key do?")
        _hold((greeted["agent"], asked["agent"]) == ("chat", "docs"), f"answered by {greeted['agent']} and {asked['agent']}")
        self._follow(asked, asked=2)
        return f"{asked['history_length']} messages"

    def _stream(self) -> str:
        chunks, end = self._visitor.stream(self._session, "tell me a joke about whales")
        _hold(len(chunks) > 1 and "".join(chunks) == end["reply"], "the chunks are not the answer")
        self._follow(end)
        return f"{len(chunks)} chunks"

    def _cache(self) -> str:
        prompt = f"What is a service? ({uuid.uuid4().hex})"
        first, second = self._visitor.ask(prompt), self._visitor.ask(prompt)
        _hold(not first["cached"] and second["cached"], f"cached: {first['cached']}, then {second['cached']}")
        _hold(first["text"] == second["text"], "the second answer is another one")
        return f"by {first['provider']}"

    def _job(self) -> str:
        record = self._visitor.job("What is a queue?")
        _hold(record["state"] == "done", f"the job is {record['state']}: {record.get('error')}")
        carrier = self._visitor.get("/api/queue/stats")["queue"]
        _hold((carrier == "nats") == self._full, f"the queue is {carrier}")
        return str(carrier)

    def _tools(self) -> str:
        answer = self._visitor.chat(self._session, "Is everything healthy?")
        _hold(answer["agent"] == "ops", f"answered by {answer['agent']}")
        self._follow(answer)
        return str(answer["reply"]).splitlines()[0]

    def _redis(self) -> str:
        self._stage.devctl("stop", "redis")
        # What was said so far lies in Redis; what is said now must not fail, and must not be lost.
        self._visitor.chat(self._session, "hello")
        self._stage.devctl("start", "redis")
        self._stage.devctl("wait", "redis", "--timeout", f"{PATIENCE:g}s")
        for name in ("router", "backend"):
            until(lambda name=name: self._own_health(name)["status"] == "ok", f"{name} uses Redis again")  # type: ignore[misc]
        answer = self._visitor.chat(self._session, "hello again")
        self._follow(answer, asked=2)
        return f"{self._history} messages"

    def _nats(self) -> str:
        took = self._stage.kill("nats")
        until(lambda: bool(self._visitor.get("/api/queue/stats")["available"]), "the backend uses NATS again")
        record = self._visitor.job("What is a stream?")
        _hold(record["state"] == "done", f"the job is {record['state']}: {record.get('error')}")
        return f"ready again in {took:.1f} s"

    def _prometheus(self) -> str:
        url = self._stage.service("prometheus")["url"]
        names: dict[str, str] = {}

        def all_up() -> bool:
            found = httpx.get(f"{url}/api/v1/targets", timeout=PATIENCE, trust_env=False).json()["data"]["activeTargets"]
            names.update({target["labels"]["job"]: target["health"] for target in found})
            return len(names) >= 4 and set(names.values()) == {"up"}

        until(all_up, f"all targets are up, found {names}")
        return ", ".join(sorted(names))

    def _kill_router(self) -> str:
        took = self._stage.kill("router")
        answer = self._visitor.chat_when_back(self._session, "hello")
        if self._full:
            self._follow(answer)
            return f"ready in {took:.1f} s, {self._history} messages"
        # Without Redis its conversations ended with it.
        _hold(answer["history_length"] == 2, f"{answer['history_length']} messages")
        return f"ready in {took:.1f} s"

    def _kill_backend(self) -> str:
        took = self._stage.kill("backend")
        # The sign-in outlives it.
        self._visitor.chat_when_back(self._session, "hello")
        return f"ready in {took:.1f} s, still signed in"

    def _stop(self) -> str:
        self._stage.devctl("down")
        left = processes_of(self._run_id)
        _hold(not left, f"processes are left: {left}")
        listening = [port for port in self._ports if accepts(port)]
        _hold(not listening, f"ports are still taken: {listening}")
        return f"no process, {len(self._ports)} ports free"

    def _own_health(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = httpx.get(f"{self._stage.service(name)['url']}/health", timeout=PATIENCE, trust_env=False).json()
        return answer

    def _follow(self, answer: dict[str, Any], asked: int = 1) -> None:
        """Check that an answer continues the conversation, in which that many messages were sent since the last check."""
        expected = self._history + 2 * asked
        _hold(answer["history_length"] == expected, f"{answer['history_length']} messages in place of {expected}")
        self._history = expected


def _hold(condition: bool, otherwise: str) -> None:
    if not condition:
        raise Unproven(otherwise)

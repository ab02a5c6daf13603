"""The queue in the real backend on a real NATS server, through HTTP: what was accepted is answered, whoever is killed."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import httpx

from tests.stack.openai_server import answer, openai_server
from tests.stack.servers import nats_server

JOBS = 60

# Seconds until the test gives up. Only a hang meets it.
GUARD = 60.0


class _Client:
    """Somebody who sends jobs until each is accepted, and fetches the answers."""

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=url, timeout=GUARD, trust_env=False)
        token = self.http.post("/api/auth/demo").raise_for_status().json()["access_token"]
        self.http.headers["Authorization"] = f"Bearer {token}"

    def send(self, number: int) -> None:
        """Send a job until it is accepted."""
        body = {"prompt": f"question {number}", "id": f"job-{number}"}
        deadline = time.monotonic() + GUARD
        while (answer := self.http.post("/api/assistant/jobs", json=body)).status_code != 202:
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "queue_unavailable")
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def tasks(self) -> dict[str, int]:
        tasks: dict[str, int] = self.http.get("/api/queue/stats").raise_for_status().json()["tasks"]
        return tasks

    def wait(self, state: str, count: int) -> None:
        """Wait until so many jobs are in a state. The queue tells its clients nothing, so it is asked."""
        deadline = time.monotonic() + GUARD
        while (tasks := self.tasks())[state] < count:
            assert time.monotonic() < deadline, tasks
            time.sleep(0.05)


def test_kills_under_load_lose_nothing(launcher: Any, tmp_path: Path) -> None:
    """NATS is killed while jobs come in, the backend while it works on ten of them: all are answered, each with its own answer."""
    with nats_server() as nats, openai_server() as models:
        models.always(answer(held=True))
        port = launcher.port()
        settings = {"NATS_URL": nats.url, "STACK_STATE": str(tmp_path), "LLM_URL": models.url, "LLM_MODELS": "m"}
        backend = launcher.start("backend", port, **settings)
        client = _Client(backend.url)
        for number in range(JOBS):
            if number == JOBS // 2:
                nats.kill()
                backend.wait_line("NATS cannot be used")
                nats.start()
            client.send(number)
        client.wait("running", 10)
        backend.stop(signal.SIGKILL)
        models.release()
        models.always(answer())
        launcher.start("backend", port, **settings)
        client = _Client(backend.url)
        client.wait("done", JOBS)
        answers = [client.http.get(f"/api/assistant/jobs/job-{number}").json() for number in range(JOBS)]
        assert client.tasks() == {"queued": 0, "running": 0, "done": JOBS, "failed": 0, "dead": 0}
    assert [job["answer"]["text"] for job in answers] == [f"Echo: question {number}" for number in range(JOBS)]
    assert sorted(job["attempts"] for job in answers) == [1] * (JOBS - 10) + [2] * 10

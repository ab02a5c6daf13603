"""The ops agent: questions about the running stack.

It looks at the services' own health answers. What needs more than that, logs and control, it leaves to the person at the terminal
and names the command.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from stack.common.peer import Peer
from stack.router.agents import Question

SERVICES = ("router", "backend", "frontend")

_VERBS = {
    "stop": ("stop", "shut", "kill", "halt", "terminate", "turn off", "switch off", " off", "down", "end the", "exit"),
    "start": ("start", "launch", "bring", "spin up", "resume", "wake", "run ", "put"),
}


class OpsAgent:
    """Answers about the services.

    Args:
        own_health: the router's own health answer.
        backend: the backend, as a peer.
    """

    name = "ops"

    def __init__(self, own_health: Callable[[], Awaitable[dict[str, Any]]], backend: Peer) -> None:
        self._own_health = own_health
        self._backend = backend

    async def answer(self, question: Question) -> str:
        message = question.message.lower()
        named = [service for service in SERVICES if service in message]
        if question.intent == "ops.logs":
            return _logs(named)
        if question.intent == "ops.control":
            return _control(message, named)
        return await self._health()

    async def _health(self) -> str:
        own = await self._own_health()
        backend = await self._backend.look()
        sessions = own["components"]["sessions"]
        well = own["status"] == "ok" and backend.status == "ok"
        lines = [
            "Router and backend are healthy." if well else "Not everything is well.",
            f"- router: {own['status']}, up {_duration(own['uptime_seconds'])}, conversations held: {sessions['sessions']}",
            f"- backend: {backend.status}, {_backend_detail(backend.answer, backend.detail)}",
            "I cannot see the frontend from here; `devctl status` shows every service.",
        ]
        return "\n".join(lines)


def _backend_detail(answer: dict[str, Any], detail: str) -> str:
    uptime = answer.get("uptime_seconds")
    return f"up {_duration(uptime)}, {detail}" if isinstance(uptime, int | float) else detail


def _logs(named: list[str]) -> str:
    command = " ".join(["devctl logs", *named, "--level error"])
    return f"I cannot read logs yet. In a terminal, `{command}` shows the errors, and without `--level error` everything."


def _control(message: str, named: list[str]) -> str:
    verb = "restart"
    if "restart" not in message and "again" not in message:
        verb = next((verb for verb, words in _VERBS.items() if any(word in message for word in words)), "restart")
    if named:
        command = " ".join([f"devctl {verb}", *named])
    else:
        command = {"stop": "devctl down", "start": "devctl up", "restart": "devctl restart"}[verb]
    return f"I do not start or stop services yet. In a terminal, this does: `{command}`"


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

"""The ops agent: questions about the running stack, answered with devctl's tools.

The backend has the tools. Without it, or without devctl, the agent tells what the services' own health answers say.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from stack.common.peer import Peer
from stack.router.agents import Question
from stack.router.agents.toolbox import Toolbox, ToolTrouble
from stack.router.agents.wishes import ControlWish, asks_why, control_wish, log_wish, named

_WELL = ("ready", "completed", "external")

# Seconds for all calls of one answer. They take milliseconds, and a second when the tool server starts first; the backend itself
# waits 10 s for a reply.
_PATIENCE = 8.0

# Characters of a log line that are quoted; the rest is in the log.
_LINE = 300


class OpsAgent:
    """Answers about the services.

    Args:
        toolbox: devctl's tools.
        own_health: the router's own health answer.
        backend: the backend, as a peer.
    """

    name = "ops"

    def __init__(self, toolbox: Toolbox, own_health: Callable[[], Awaitable[dict[str, Any]]], backend: Peer) -> None:
        self._toolbox = toolbox
        self._own_health = own_health
        self._backend = backend

    async def stream(self, question: Question) -> AsyncGenerator[str, None]:
        """The reply, line by line."""
        try:
            async with asyncio.timeout(_PATIENCE):
                report = (await self._toolbox.call("devctl.status", {})).data
                lines = await self._answer(question, report) if report.get("running") else None
            if lines is None:
                lines = await self._without("These services do not run under devctl, so I only see their own health answers.")
        except ToolTrouble as trouble:
            lines = await self._without(f"I cannot ask devctl now: {trouble}.")
        except TimeoutError:
            lines = await self._without(f"I asked devctl and got no answer within {_PATIENCE:g} s.")
        for number, line in enumerate(lines):
            yield f"\n{line}" if number else line

    async def _answer(self, question: Question, report: dict[str, Any]) -> list[str]:
        services = {service["name"]: service for service in report["services"]}
        wanted = named(question.message, list(services))
        if asks_why(question.message) and question.intent != "ops.logs":
            return await self._why(wanted)
        if question.intent == "ops.logs":
            return await self._logs(question.message, wanted)
        if question.intent == "ops.control":
            return await self._control(question, wanted, services)
        return _health(report["summary"], [services[name] for name in wanted] or list(services.values()))

    async def _why(self, wanted: list[str]) -> list[str]:
        answer = await self._toolbox.call("devctl.why", {"services": wanted})
        if not answer.ok:
            return [answer.text]
        reasons = answer.data["services"]
        if not reasons:
            return ["Every service is well: there is nothing to explain."]
        lines = []
        for reason in reasons:
            lines.append(f"{_sentence(reason['sentence'])}")
            lines += [f"- {fact['label']}: {fact['text'][:_LINE]}" for fact in reason["evidence"]]
        return lines

    async def _logs(self, message: str, wanted: list[str]) -> list[str]:
        wish = log_wish(message)
        given = {"level": wish.level, "since": wish.since, "search": wish.search}
        arguments = {"services": wanted, "tail": wish.tail} | {name: value for name, value in given.items() if value is not None}
        answer = await self._toolbox.call("devctl.logs", arguments)
        if not answer.ok:
            return [answer.text]
        lines = answer.data["lines"]
        kind = {"error": "errors", "warn": "warnings"}.get(wish.level or "", "lines")
        about = f" of {', '.join(wanted)}" if wanted else ""
        about += f" with “{wish.search}”" if wish.search else ""
        about += f" in the last {wish.since}" if wish.since else ""
        if not lines:
            return [f"There are no {kind}{about} in this run's log."]
        # What a service wrote must not end the quotation.
        texts = [line["text"][:_LINE].replace("```", "~~~") for line in lines]
        quoted = [f"{line['time'][11:19]} {line['service']}  {text}" for line, text in zip(lines, texts, strict=True)]
        return [f"The last {kind}{about} ({len(lines)}, times in UTC):", "```", *quoted, "```"]

    async def _control(self, question: Question, wanted: list[str], services: dict[str, dict[str, Any]]) -> list[str]:
        wish = control_wish(question.message)
        if not wanted and not wish.everything:
            wanted = [name for name, service in services.items() if service["state"] not in _WELL]
        if not wanted:
            return [_whole_stack(wish)]
        arguments: dict[str, Any] = {"services": wanted}
        if wish.with_dependents and wish.verb != "start":
            arguments["with_dependents"] = True
        answer = await self._toolbox.call(f"devctl.{wish.verb}", arguments, question.session_id)
        if not answer.confirmation:
            return [answer.text]
        lines = [f"To {wish.verb} {', '.join(wanted)} I need you to confirm it in the page: {answer.confirmation}"]
        if wish.verb != "start" and {"router", "backend"} & set(wanted):
            lines.append("I am a part of that, so I will be away until it is back.")
        return lines

    async def _without(self, trouble: str) -> list[str]:
        own = await self._own_health()
        backend = await self._backend.look()
        uptime = backend.answer.get("uptime_seconds")
        up = f"up {_duration(uptime)}, " if isinstance(uptime, int | float) else ""
        return [
            trouble,
            f"- router: {own['status']}, up {_duration(own['uptime_seconds'])}",
            f"- backend: {backend.status}, {up}{backend.detail}",
            "In a terminal, `devctl status`, `devctl why` and `devctl logs` tell more.",
        ]


def _health(summary: str, services: list[dict[str, Any]]) -> list[str]:
    ill = [service for service in services if service["state"] not in _WELL]
    lines = [f"Everything is healthy: {_sentence(summary)}" if not ill else f"Not everything is well: {_sentence(summary)}"]
    for service in services:
        facts = [service["state"]]
        if service["reason"]:
            facts.append(service["reason"])
        if service["health"]:
            facts.append(service["health"])
        if service["memory_bytes"]:
            facts.append(f"{service['memory_bytes'] / 1e6:.0f} MB")
        if service["restarts"]:
            facts.append(f"restarted {service['restarts']} times")
        lines.append(f"- {service['name']}: {', '.join(facts)}")
    return lines


def _whole_stack(wish: ControlWish) -> str:
    if not wish.everything:
        return "Every service is well. Name the one that you mean, such as “restart frontend”."
    command = {"stop": "devctl down", "start": "devctl up", "restart": "devctl down && devctl up"}[wish.verb]
    return f"The whole stack is me as well, so that is yours to do. In a terminal: `{command}`"


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _duration(seconds: float) -> str:
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

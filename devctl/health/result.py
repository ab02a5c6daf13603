"""What a probe answers, and how it says it to people."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

EXCERPT_LENGTH = 80  # characters of somebody else's text: one line of a terminal, with room for our own words


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """One answer. `detail` is one printable line for people; `seconds` is how long the probe took."""

    ok: bool
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class ExecResult:
    """How a command of an exec probe ended.

    Attributes:
        exit_code: None when a signal ended it or it timed out.
        output: the end of what it wrote to stdout and stderr, at most 2000 characters.
        timed_out: it ran into its timeout, and its whole tree was killed.
    """

    exit_code: int | None
    output: str
    timed_out: bool


ExecRunner = Callable[[tuple[str, ...], float], Awaitable[ExecResult]]
"""Runs a command in the service's environment: (argv, timeout in seconds). The engine supplies it: health spawns nothing itself."""


class Checker(Protocol):
    """One probe that asks. `Prober` calls it, never twice at a time."""

    async def check(self, within: float) -> ProbeResult:
        """Asks once and answers within that many seconds. Whatever the other side does is an answer, not an exception."""

    async def settle(self) -> None:
        """Ends the last conversation politely. Called after its result was reported, and short."""


def excerpt(text: str, limit: int = EXCERPT_LENGTH) -> str:
    """The first `limit` characters of foreign text as one printable line; escape sequences lose their escape character."""
    # Several times the limit is read, as white space and what cannot be printed go first.
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: limit * 8]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def duration(seconds: float) -> str:
    """A short time for people: "0.4 ms", "3 ms", "1.2 s"."""
    if seconds < 0.001:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.3g} s"

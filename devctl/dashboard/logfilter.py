"""Which log lines are shown, and what is searched for: what users type, made into predicates."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

from devctl.errors import UsageError
from devctl.logs.level import and_worse, parse_level
from devctl.logs.query import compile_pattern
from devctl.logs.record import Record
from devctl.logs.sanitize import plain

REGEX = "re:"
NOT = "!"


class Pattern:
    """A search: a part of the line, or after `re:` a regular expression; after `!` lines without it.

    Case counts only when the text has a capital letter.

    Args:
        text: what was typed.

    Raises:
        UsageError: it is no regular expression, or too long.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.negated = text.startswith(NOT) and len(text) > 1
        body = text[1:] if self.negated else text
        self.is_regex = body.startswith(REGEX)
        source = body.removeprefix(REGEX)
        # An escape such as \S is no capital letter that somebody typed.
        smart = re.sub(r"\\.", "", source) if self.is_regex else source
        ignore_case = smart == smart.lower()
        self._regex = compile_pattern(("(?i)" if ignore_case else "") + (source if self.is_regex else re.escape(source)))
        self._needle = source.lower() if ignore_case else source
        self._ignore_case = ignore_case

    def __repr__(self) -> str:
        return f"<Pattern {self.text!r}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def matches(self, text: str) -> bool:
        """Whether a raw line is meant. Colours in it do not count."""
        if "\x1b" in text or "\r" in text:
            text = plain(text)
        if self.is_regex:
            found = self._regex.search(text) is not None
        else:
            found = self._needle in (text.lower() if self._ignore_case else text)
        return found is not self.negated

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where it is found in a line without colours, for highlighting; nothing for a negated one."""
        if self.negated:
            return []
        return [match.span() for match in self._regex.finditer(text) if match.end() > match.start()]


@dataclass(frozen=True, slots=True)
class LogFilter:
    """All conditions must hold.

    Attributes:
        service: only this one.
        pattern: what the line must contain.
        level: this or worse; lines without a level, such as a traceback's, count as the line they belong to.
        stream: "stdout" or "stderr".
        since: nanoseconds since the epoch.
        since_text: as it was typed.
    """

    service: str | None = None
    pattern: Pattern | None = None
    level: str | None = None
    stream: str | None = None
    since: int | None = None
    since_text: str = ""

    @property
    def passes_all(self) -> bool:
        """Whether nothing is left out."""
        return (self.service, self.pattern, self.level, self.stream, self.since) == (None,) * 5

    def with_(self, **changes: object) -> Self:
        """The filter with some conditions changed. Raises UsageError for a level that is none."""
        level = changes.get("level")
        if isinstance(level, str):
            changes["level"] = parse_level(level)
        if changes.get("stream") not in (None, "stdout", "stderr"):
            raise UsageError(f"unknown stream {changes['stream']!r}", "use stdout or stderr")
        return replace(self, **changes)  # type: ignore[arg-type]

    def predicate(self) -> Callable[[Record], bool]:
        """What says whether a record is shown. Its level must have been set when `level` is given."""
        service, stream, since = self.service, self.stream, self.since
        matches = None if self.pattern is None else self.pattern.matches
        levels = None if self.level is None else and_worse(self.level)

        def wanted(record: Record) -> bool:
            return (
                (service is None or record.service == service)
                and (stream is None or record.stream == stream)
                and (since is None or record.time_ns >= since)
                and (levels is None or record.level in levels)
                and (matches is None or matches(record.text))
            )

        return wanted

    def describe(self) -> str:
        """The conditions but the service, for the status line; "" when there are none."""
        parts = []
        if self.pattern is not None:
            parts.append(f"& {self.pattern.text}")
        if self.level is not None:
            parts.append(f"{self.level}+")
        if self.stream is not None:
            parts.append(self.stream)
        if self.since is not None:
            parts.append(f"since {self.since_text}")
        return "  ".join(parts)

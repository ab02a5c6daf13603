"""The level of a log line: JSON logs and the common text forms, one scale for all of them.

Order: trace < debug < info < warn < error < fatal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from devctl.errors import UsageError
from devctl.logs.record import Record

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")

# How far before a line its level may stand when it states none itself: longer than any sane traceback.
INHERIT_LIMIT = 500

_NAMES = {
    "trace": "trace trc verbose",
    "debug": "debug dbg dbug",
    "info": "info inf information informational notice log success",
    "warn": "warn wrn warning",
    "error": "error err eror severe",
    "fatal": "fatal ftl critical crit panic alert emerg emergency dpanic",
}
_LEVEL_OF = {name: level for level, names in _NAMES.items() for name in names.split()}

# Text forms are looked for in so many characters only: levels stand near the front, and a 10 MB line must cost nothing.
_HEAD = 200
# 64 KiB: a JSON line beyond it is a data dump; its level is still found by the logfmt-like search in its head.
_JSON_LIMIT = 65_536

_JSON_KEYS = (
    "level", "severity", "lvl", "loglevel", "log_level", "logLevel", "log.level", "levelname", "level_name", "@level",
    "severity_text", "severityText", "Level", "Severity", "LEVEL", "SEVERITY",
)  # fmt: skip
_OTEL_KEYS = ("severityNumber", "severity_number", "SeverityNumber")
_SYSLOG = ("fatal", "fatal", "fatal", "error", "warn", "info", "info", "debug")  # RFC 5424, table 2

_SGR = re.compile(r"\x1b\[[0-9;:]*m")
# glog and klog: "E1120 10:00:00.000000   123 file.go:12] text"
_GLOG = re.compile(r"([DIWEF])\d{4} \d\d:\d\d:\d\d")
# tornado and Jupyter: "[E 2026-11-20 10:00:00 app] text"
_TORNADO = re.compile(r"\[([DIWEC]) \d")
# sd-daemon(3): "<3>text"
_SD_DAEMON = re.compile(r"<([0-7])>")
_LETTERS = {"D": "debug", "I": "info", "W": "warn", "E": "error", "F": "fatal", "C": "fatal"}
_ANY = "|".join(sorted(_LEVEL_OF, key=len, reverse=True))
# logfmt, and JSON that is cut off or too long to be parsed: level=warn, "level":"warn"
_KEYED = re.compile(rf"(?:^|[\s,{{\"])(?:log)?(?:level|severity|lvl)(?:=|\"\s?:\s?)\"?({_ANY})(?![a-z])", re.IGNORECASE)
# [error], <warn>, (INFO), |ERROR|, [core:error]; in any case
_BRACKETED = re.compile(rf"[\[<(|](?:\w+:)?\s*({_ANY})\s*[\]>)|]", re.IGNORECASE)
# "error: text", "error[E0308]: text", "npm ERR! text": at the start, or after a date and such; in any case
_LEADING = re.compile(rf"(?:[\d\s:.,/TZ+-]*|npm )({_ANY})(?::|\[\w+\]:|!)(?=\s|$)", re.IGNORECASE)
# A word in capitals after what usually precedes it: a date, a thread, a logger's name
_WORD = re.compile(rf"(?:^|[\s\[(<|:])({_ANY.upper()})(?=[\s\])>|:,]|$)")
_CRASH = re.compile(r"(?:panic: |fatal error: |thread '[^']*' (?:\(\d+\) )?panicked at )")
_EXCEPTION = re.compile(
    r"(?:Traceback \(most recent call last\):|Exception in thread |(?:Uncaught )?(?:[A-Za-z_][\w.$]*)?(?:Error|Exception)(?::|$))"
)
_CONTINUES = re.compile(
    r"\s|[}\])]+[,;]?$|$|Caused by|Suppressed: |Traceback \(most|During handling of the above|The above exception was"
    r"|goroutine \d|created by |\.\.\. \d+ more"
)


def parse_level(text: str) -> str:
    """One of LEVELS from what a user typed, such as "WARNING" or "err". Raises UsageError."""
    level = _LEVEL_OF.get(text.strip().lower())
    if level is None:
        raise UsageError(f"unknown log level {text!r}", f"use one of: {', '.join(LEVELS)}")
    return level


def and_worse(level: str) -> frozenset[str]:
    """`level` and all that are worse."""
    return frozenset(LEVELS[LEVELS.index(level) :])


def detect(text: str) -> str | None:
    """The level that the line itself states, one of LEVELS, or None. Never raises; linear in the line's length."""
    if text.startswith("{") and '"' in text:
        return _from_json(text) or _keyed(text[:_HEAD])
    head = text[:_HEAD]
    if "\x1b" in head:
        head = _SGR.sub("", head)
    if match := _GLOG.match(head) or _TORNADO.match(head):
        return _LETTERS[match[1]]
    if match := _SD_DAEMON.match(head):
        return _SYSLOG[int(match[1])]
    # The first one counts: `INFO running with loglevel=debug`, `level=warn msg="[error] seen"`.
    found = [match for match in (_LEADING.match(head), _KEYED.search(head), _BRACKETED.search(head), _WORD.search(head)) if match]
    if found:
        return _LEVEL_OF[min(found, key=lambda match: match.start(1))[1].lower()]
    if _CRASH.match(head):
        return "fatal"
    return "error" if _EXCEPTION.match(head) else None


def continues(text: str) -> bool:
    """Whether the line looks like part of the entry before it: indented, empty, a closing bracket, "Caused by"."""
    return _CONTINUES.match(text) is not None


class LevelTracker:
    """Levels of one stream's lines in order: the lines of a traceback have the level of the line that it belongs to."""

    def __init__(self) -> None:
        self._level: str | None = None
        self._in_traceback = False
        self._in_crash = False

    def level(self, text: str) -> str | None:
        """The level of the next line."""
        if text.startswith("Traceback (most recent call last):"):
            self._level, self._in_traceback = self._level or "error", True
        elif continues(text):
            pass
        elif self._in_traceback:  # the exception itself, the last line of a traceback; a worse level of its own wins
            self._in_traceback = False
            self._level = _worse(self._level, detect(text))
        elif own := detect(text):
            self._level, self._in_crash = own, _CRASH.match(text) is not None
        elif not self._in_crash:  # after a crash, all that follows without a level is its dump
            self._level = None
        return self._level


class Levels:
    """Sets the levels of one service's records in order, each stream by itself."""

    def __init__(self) -> None:
        self._trackers: dict[str, LevelTracker] = {}

    def set(self, records: Iterable[Record]) -> None:
        """Gives each record its level."""
        for record in records:
            tracker = self._trackers.get(record.stream)
            if tracker is None:
                tracker = self._trackers[record.stream] = LevelTracker()
            record.level = tracker.level(record.text)


def set_backward(records: Iterable[Record]) -> Iterator[Record]:
    """Sets the levels of one service's records that come the newest first.

    A line without one waits until an earlier line of its stream states one, for INHERIT_LIMIT lines at most.
    """
    waiting: list[Record] = []
    undecided: dict[str, bool] = {}
    for record in records:
        waiting.append(record)
        undecided[record.stream] = detect(record.text) is None
        if not any(undecided.values()) or len(waiting) > INHERIT_LIMIT:
            Levels().set(reversed(waiting))
            yield from waiting
            waiting.clear()
            undecided.clear()
    Levels().set(reversed(waiting))
    yield from waiting


def _worse(one: str | None, other: str | None) -> str | None:
    return max(one, other, key=lambda level: LEVELS.index(level) if level else -1)


def _keyed(head: str) -> str | None:
    match = _KEYED.search(head)
    return _LEVEL_OF[match[1].lower()] if match else None


def _from_json(text: str) -> str | None:
    if len(text) > _JSON_LIMIT:
        return None
    import json  # 2 ms, for those who need it

    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    for key in _JSON_KEYS:
        if key in entry and (level := _from_value(entry[key])):
            return level
    for key in _OTEL_KEYS:  # OpenTelemetry: 1 to 24, four for each level
        number = entry.get(key)
        if isinstance(number, int) and 1 <= number <= 24:
            return LEVELS[(number - 1) // 4]
    nested = entry.get("log")  # ECS as an object: {"log": {"level": "info"}}
    return _from_value(nested.get("level")) if isinstance(nested, dict) else None


def _from_value(value: Any) -> str | None:
    """pino and bunyan count 10, 20 … 60; GELF has syslog's 0 to 7; slog writes "ERROR+2"."""
    if isinstance(value, str):
        name = re.split(r"[+-]", value.strip(), maxsplit=1)[0].lower()
        return _LEVEL_OF.get(name) or (_from_value(int(name)) if name.isascii() and name.isdigit() and len(name) < 4 else None)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 100:
        return None
    return _SYSLOG[int(value)] if value < 8 else LEVELS[min(max(int(value) // 10, 1), 6) - 1]

"""Moments as people write them: "5m" ago, a date, a time of today, seconds since the epoch."""

from __future__ import annotations

import re
import time

from devctl.errors import UsageError
from devctl.logs.cri import NANOSECONDS, parse_stamp

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_AGO = re.compile(r"(?:\d{1,12}(?:\.\d{1,12})?(?:ms|us|µs|ns|[wdhms]))+", re.ASCII)
_AGO_PART = re.compile(r"([\d.]+)(\D+)")
# Nanoseconds in a unit, and the digits that today's moments have in it at most, until the year 5138.
_EPOCH_UNITS = ((NANOSECONDS, 11), (1_000_000, 14), (1_000, 17), (1, 19))
_EPOCH = re.compile(r"\d{9,19}(?:\.\d{1,9})?", re.ASCII)
_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?", re.ASCII)
_HELP = "write 5m, 1h30m, 10:00, 2026-11-20T10:00:00Z or seconds since the epoch"


def parse_time(text: str, *, now: int | None = None) -> int:
    """Nanoseconds since the epoch.

    Args:
        text: a duration ("1h30m": that long ago), RFC 3339, a local date or date and time, a local time of day (the last time
            it was that), or the epoch in seconds, milliseconds, microseconds or nanoseconds (told apart by the number of digits).
        now: nanoseconds since the epoch; the wall clock by default.

    Raises:
        UsageError: none of these.
    """
    now = time.time_ns() if now is None else now
    text = text.strip()
    if _AGO.fullmatch(text):
        seconds = sum(float(number) * _UNITS[unit] for number, unit in _AGO_PART.findall(text))
        return max(0, now - round(seconds * NANOSECONDS))
    if _EPOCH.fullmatch(text):
        whole, _, fraction = text.partition(".")
        unit = next(unit for unit, digits in _EPOCH_UNITS if len(whole) <= digits)
        return int(whole) * unit + int(fraction.ljust(9, "0")) * unit // NANOSECONDS
    if (stamp := parse_stamp(text.upper().encode())) is not None:
        return stamp
    try:
        return _local(text, now)
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(f"cannot read {text!r} as a time", _HELP) from error


def _local(text: str, now: int) -> int:
    from datetime import datetime, timedelta  # a millisecond, for those who give times

    if match := _CLOCK.fullmatch(text):
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        today = datetime.fromtimestamp(now // NANOSECONDS)
        moment = today.replace(hour=hour, minute=minute, second=second, microsecond=0)
        if moment > today:
            moment -= timedelta(days=1)
    else:
        moment = datetime.fromisoformat(text)
    return max(0, int(moment.timestamp()) * NANOSECONDS + moment.microsecond * 1_000)

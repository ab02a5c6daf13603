"""What health checks said: a bounded history for each service, in which a thousand equal answers are one line."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import asdict, replace

from devctl.health import ProbeResult
from devctl.model import CheckRun, HealthHistory
from devctl.plan import HealthCheck

# Runs of equal answers that are kept of a service: a check that flaps each second is remembered for three minutes.
KEPT = 200
# As `devctl.health.result.duration` writes them.
_DURATION = re.compile(r"\b\d[\d.]* (?:ms|s)\b")


class Checks:
    """The answers of all services' checks in this run."""

    def __init__(self) -> None:
        self._runs: dict[str, deque[CheckRun]] = {}

    def add(self, name: str, result: ProbeResult, now: str) -> None:
        """Takes an answer. `now` is RFC 3339."""
        runs = self._runs.setdefault(name, deque(maxlen=KEPT))
        last = runs[-1] if runs else None
        took = round(result.seconds, 6)
        if last is not None and last.ok == result.ok and _alike(last.detail, result.detail):
            slowest = max(last.slowest, took)
            runs[-1] = replace(last, until=now, count=last.count + 1, detail=result.detail, seconds=took, slowest=slowest)
        else:
            runs.append(CheckRun(now, now, 1, result.ok, result.detail, took, took))

    def history(self, name: str, check: HealthCheck | None) -> HealthHistory:
        """What is known of a service that is checked by `check`."""
        return HealthHistory(None if check is None else asdict(check), tuple(self._runs.get(name, ())))


def _alike(one: str, other: str) -> bool:
    return one == other or _DURATION.sub("", one) == _DURATION.sub("", other)

"""The health answer that all three services share."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any


class Health:
    """Puts a service's health answer together. Made when the service starts, which is when its uptime begins."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._began = time.monotonic()

    def answer(self, components: dict[str, dict[str, Any]], *, status: str | None = None) -> dict[str, Any]:
        """The answer, as JSON.

        Args:
            components: by name, what the service depends on; each with its `status`.
            status: the service's own; by default `ok`, or `degraded` while a component is not `ok`.
        """
        if status is None:
            status = "ok" if all(part["status"] == "ok" for part in components.values()) else "degraded"
        return {
            "status": status,
            "service": self._service,
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "uptime_seconds": round(time.monotonic() - self._began, 1),
            "components": components,
        }

"""A stack's numbers in Prometheus' text format, version 0.0.4 (prometheus.io, "Exposition formats")."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from devctl.model import SETTLED_WELL, ServiceState, StackState, StackStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


def escape(value: str) -> str:
    """A label's value as it stands between its quotes."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def render(status: StackStatus) -> bytes:
    """All metrics of a stack, as UTF-8; bytes of a path that are none are shown as "?"."""
    text = "".join(line for family in _families(status) for line in family)
    return text.encode("utf-8", "replace")


def _families(status: StackStatus) -> Iterator[Iterator[str]]:
    stack = {"stack": status.stack}
    info = {"directory": status.directory, "run_id": status.run_id, "version": status.supervisor.version}
    yield _family("devctl_stack_info", "gauge", "What runs; always 1.", [({**stack, **info}, 1)])
    yield _family(
        "devctl_stack_state",
        "gauge",
        "1 for the state that the stack is in, 0 for the others.",
        [({**stack, "state": state}, state == status.state) for state in StackState],
    )
    started = datetime.fromisoformat(status.started_at).timestamp()
    yield _family("devctl_stack_start_time_seconds", "gauge", "When the run began, as Unix time.", [(stack, started)])

    services = [({**stack, "service": service.name}, service) for service in status.services]
    yield _family(
        "devctl_service_state",
        "gauge",
        "1 for the state that the service is in, 0 for the others.",
        [({**labels, "state": state}, state == service.state) for labels, service in services for state in ServiceState],
    )
    for name, kind, help, value in _SERVICE_METRICS:
        samples = [(labels, number) for labels, service in services if (number := value(service)) is not None]
        yield _family(f"devctl_service_{name}", kind, help, samples)


_SERVICE_METRICS = (
    ("ready", "gauge", "1 when the service is ready, completed or external.", lambda s: s.state in SETTLED_WELL),
    ("restarts_total", "counter", "Restarts in this run.", lambda s: s.restarts),
    ("processes", "gauge", "Processes in the service's tree.", lambda s: s.processes),
    ("cpu_ratio", "gauge", "CPU use of the whole tree; 1 is one core.", lambda s: s.cpu_percent / 100),
    ("memory_bytes", "gauge", "Memory of the whole tree.", lambda s: s.memory_bytes),
    ("startup_seconds", "gauge", "From the last start to ready; absent before.", lambda s: s.startup_seconds),
    ("health_failures", "gauge", "Consecutive failures of the health check.", lambda s: s.health.failures if s.health else None),
)


def _family(name: str, kind: str, help: str, samples: Iterable[Sample]) -> Iterator[str]:
    yield f"# HELP {name} {help}\n# TYPE {name} {kind}\n"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
        yield f"{name}{{{pairs}}} {_number(value)}\n"


def _number(value: float) -> str:
    # Integers without a fraction; repr() of a float is its shortest exact form.
    return str(int(value)) if value == int(value) else repr(float(value))

"""Why is it not up? Sentences and evidence from the state of the lifecycle. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from devctl.lifecycle import Service
from devctl.lifecycle.gate import Gate, gate
from devctl.model import Explanation, Health, ServiceState
from devctl.plan import Condition

S = ServiceState

WANTS = {Condition.STARTED: "to start", Condition.HEALTHY: "to be ready", Condition.COMPLETED: "to complete"}
# A chain longer than this is no help to read; depth is bounded by the number of services in any case.
CHAIN_LIMIT = 50


def reason(name: str, services: Mapping[str, Service], health: Mapping[str, Health], now: float) -> str | None:
    """One short sentence, as the column "why" shows it; None when there is nothing to say.

    Args:
        now: monotonic seconds.
    """
    service = services[name]
    match service.state:
        case S.WAITING:
            return _waits_for(service, services, health) or ("waiting for its old processes to end" if service.live else None)
        case S.STARTING:
            return _starting(service, health.get(name))
        case S.BACKOFF:
            return _backoff(service, now)
        case S.READY | S.EXTERNAL if service.failures:
            last = health.get(name)
            times = f"{service.failures} time{'s' * (service.failures != 1)}"
            return f"health check failed {times}: {last.detail}" if last and not last.ok else None
        case _:
            return service.reason.text if service.reason else None


def explain(
    name: str,
    services: Mapping[str, Service],
    health: Mapping[str, Health],
    now: float,
    *,
    log_tail: Sequence[str] = (),
    port_holders: Sequence[str] = (),
    leftovers: str | None = None,
) -> Explanation:
    """The causal sentence, the chain down to the root cause, and the evidence there.

    Args:
        log_tail: the last lines of the root cause's log.
        port_holders: who holds its ports, where that is somebody else.
    """
    chain = cause_chain(name, services)
    root = chain[-1]
    service, culprit = services[name], services[root]
    evidence: list[tuple[str, str]] = []
    why = reason(name, services, health, now)
    sentence = _sentence(name, service, why)
    if root != name:
        root_why = reason(root, services, health, now)
        evidence.append(("root cause", _sentence(root, culprit, root_why)))
    for edge in service.spec.depends_on:
        target = services.get(edge.service)
        if target is not None and service.state in (S.WAITING, S.FAILED):
            verdict, _ = gate(edge, services)
            held = {Gate.OPEN: "holds", Gate.SHUT: "not yet", Gate.NEVER: "can not hold"}[verdict]
            evidence.append(("needs", f"{edge.service} {WANTS[edge.condition]}: {held} ({target.state.value})"))
    last = health.get(root)
    if last is not None and culprit.state not in (S.COMPLETED, S.STOPPED):
        evidence.append(("check", f"{last.probe}: {last.detail}{'' if last.ok else f' ({last.failures} failures)'}"))
    if culprit.exit is not None:
        evidence.append(("exit", str(culprit.exit)))
        if culprit.exit.signal == 9:
            evidence.append(("hint", "SIGKILL that nobody asked for: often the kernel, out of memory (see `dmesg`)"))
        if culprit.exit.code in (126, 127):
            evidence.append(("hint", "126 and 127 come from a shell: a program in the command is missing or not executable"))
    if culprit.restarts:
        evidence.append(("restarts", str(culprit.restarts)))
    evidence += [("port", holder) for holder in port_holders]
    if leftovers:
        evidence.append(("left behind", leftovers))
    evidence += [("log", line) for line in log_tail]
    return Explanation(name, service.state, sentence, tuple(evidence), tuple(chain))


def cause_chain(name: str, services: Mapping[str, Service]) -> list[str]:
    """The services from `name` to the one that everything hangs on."""
    chain = [name]
    while len(chain) < CHAIN_LIMIT:
        service = services[chain[-1]]
        following = service.reason.cause if service.blocked and service.reason else None
        if following is None and service.state is S.WAITING:
            shut = [edge.service for edge in service.spec.depends_on if gate(edge, services)[0] is not Gate.OPEN]
            following = next(iter(shut), None)
        if following is None or following not in services or following in chain:
            break
        chain.append(following)
    return chain


def _sentence(name: str, service: Service, why: str | None) -> str:
    state = service.state
    if state is S.READY and not why:
        return f"{name} is ready"
    if state is S.WAITING:
        return f"{name} is {why}" if why and why.startswith("waiting") else f"{name} is waiting"
    words = {
        S.FAILED: "failed",
        S.COMPLETED: "has completed",
        S.STOPPED: "is stopped",
        S.STOPPING: "is stopping",
        S.EXTERNAL: "is reused, not started by devctl",
        S.BACKOFF: "will be restarted",
        S.UNHEALTHY: "is unhealthy",
        S.STARTING: "is starting",
        S.READY: "is ready",
    }
    if state is S.UNHEALTHY and why:
        return f"{name} {why}"
    return f"{name} {words[state]}" + (f": {why}" if why else "")


def _waits_for(service: Service, services: Mapping[str, Service], health: Mapping[str, Health]) -> str | None:
    parts = []
    for edge in service.spec.depends_on:
        if gate(edge, services)[0] is Gate.OPEN:
            continue
        target = services.get(edge.service)
        if target is None:
            continue
        detail = target.state.value
        last = health.get(edge.service)
        if target.state in (S.STARTING, S.UNHEALTHY) and last is not None and not last.ok:
            detail += f": {last.detail}"
        parts.append(f"{edge.service} {WANTS[edge.condition]} ({detail})")
    return "waiting for " + ", ".join(parts) if parts else None


def _starting(service: Service, last: Health | None) -> str | None:
    if service.spec.oneshot:
        return "running"
    if last is not None and not last.ok:
        return last.detail
    return "its health check has not answered yet" if service.spec.healthcheck else None


def _backoff(service: Service, now: float) -> str:
    why = service.reason.text if service.reason else "it ended"
    left = max(0.0, (service.spawn_at or now) - now)
    return f"{why}; restart {service.attempts} in {left:.1f} s"

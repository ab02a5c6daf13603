"""How long to wait before a restart, and whether there is to be one."""

from __future__ import annotations

from devctl.lifecycle.events import ExitStatus
from devctl.plan import RestartMode, RestartPolicy, ServiceSpec

JITTER = 0.1  # ± a tenth: enough that services which died together do not all return in the same instant


def delay(policy: RestartPolicy, attempt: int, jitter: float) -> float:
    """Seconds before automatic restart number `attempt` (1 is the first). `jitter` in [0, 1) becomes a factor of 0.9 to 1.1."""
    # 64 doublings exceed any maximum; the cap keeps float powers finite.
    base = min(policy.max, policy.initial * policy.factor ** min(attempt - 1, 64))
    return base * (1 - JITTER + 2 * JITTER * jitter)


def succeeded(spec: ServiceSpec, exit: ExitStatus) -> bool:
    """Whether this exit counts as success for this service."""
    return exit.code is not None and exit.code in spec.success_exit_codes


def restarts(spec: ServiceSpec, *, success: bool, attempts: int, unhealthy: bool = False) -> bool:
    """Whether the service is started again after `attempts` consecutive restarts.

    A one-shot that succeeded is done, whatever the policy says. `unhealthy`: `on_unhealthy` asks for the restart, and only the
    policy's limit counts.
    """
    policy = spec.restart
    done = policy.mode is RestartMode.NO or (success and (spec.oneshot or policy.mode is RestartMode.ON_FAILURE))
    return (unhealthy or not done) and (policy.max_attempts is None or attempts < policy.max_attempts)

"""Port numbers: the manifest's own, and free ones for `auto` that stay the same for the stack's life."""

from __future__ import annotations

from collections.abc import Mapping

from devctl.plan import Plan
from devctl.process.ports import free_port


def assign_ports(plan: Plan, before: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Every port of every service of `plan`.

    Args:
        before: what `auto` ports were given earlier in this run; kept.

    Raises:
        OSError: the system has no free port.
    """
    taken = {port for spec in plan.services.values() for port in spec.ports.values() if port is not None}
    taken |= {port for ports in before.values() for port in ports.values()}
    result: dict[str, dict[str, int]] = {}
    for name, spec in plan.services.items():
        ports = result[name] = {}
        for key, fixed in spec.ports.items():
            port = fixed if fixed is not None else before.get(name, {}).get(key)
            if port is None:
                port = free_port(taken)
                taken.add(port)
            ports[key] = port
    return result

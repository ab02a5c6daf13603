"""The dependency graph: order, cycles, parts of a plan. Nothing here recurses: a chain may have 10,000 links."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from devctl.errors import UnknownService, UsageError
from devctl.manifest.source import nearest
from devctl.plan import REFERENCE, Plan, ServiceSpec, split_reference

Edges = Mapping[str, Sequence[str]]
"""name → the names it depends on. Names that are no keys are ignored."""


def order(edges: Edges) -> tuple[list[str], list[list[str]]]:
    """Dependencies before dependents, otherwise in the given order; and cycles as closed paths (a, b, a).

    Of cycles that share a service one is reported, so that a knot is not told in all its turns.
    """
    done: list[str] = []
    finished: set[str] = set()
    knotted: set[str] = set()
    cycles: list[list[str]] = []
    for root in edges:
        if root in finished:
            continue
        path: list[str] = [root]
        position = {root: 0}
        pending = [iter(edges[root])]
        while pending:
            following = next(pending[-1], None)
            if following is None:
                name = path.pop()
                pending.pop()
                del position[name]
                finished.add(name)
                done.append(name)
            elif following in position:
                if following not in knotted and path[-1] not in knotted:
                    cycle = path[position[following] :]
                    knotted.update(cycle)
                    cycles.append([*cycle, following])
            elif following in edges and following not in finished:
                position[following] = len(path)
                path.append(following)
                pending.append(iter(edges[following]))
    return done, cycles


def closure(edges: Edges, names: Iterable[str]) -> set[str]:
    """`names` and everything they depend on, directly or not."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found and name in edges:
            found.add(name)
            waiting.extend(edges[name])
    return found


def dependencies(plan: Plan) -> dict[str, list[str]]:
    """The edges of a plan."""
    return {name: [edge.service for edge in spec.depends_on] for name, spec in plan.services.items()}


def select(plan: Plan, names: Sequence[str], with_dependencies: bool = True) -> Plan:
    """The part of `plan` that `names` need; no names mean all of it.

    Without dependencies, edges to services outside are left out, and references to them are replaced by their fixed ports.

    Raises:
        UnknownService: a name is not in the plan.
        UsageError: a service refers to a port that is `auto` and belongs to a service left outside.
    """
    if not names:
        return plan
    for name in names:
        if name not in plan.services:
            raise unknown_service(name, plan)
    chosen = closure(dependencies(plan), names) if with_dependencies else set(names)
    return restrict(plan, chosen)


def unknown_service(name: str, plan: Plan) -> UnknownService:
    """The error for a name that is not in `plan`, with the mend that fits."""
    if name in plan.available:
        return UnknownService(f"service `{name}` is not part of this stack now", "name it in `devctl up`, or activate its profile")
    known = ", ".join(list(plan.services)[:10]) + (", …" if len(plan.services) > 10 else "")
    help = nearest(name, [*plan.services, *plan.available], otherwise=f"known are {known}")
    return UnknownService(f"there is no service `{name}`", help())


def restrict(plan: Plan, chosen: Collection[str]) -> Plan:
    """`plan` with only the services in `chosen`; edges to others go, references to others become what they stand for."""
    if all(name in chosen and all(edge.service in chosen for edge in spec.depends_on) for name, spec in plan.services.items()):
        return plan
    services = {}
    for name, spec in plan.services.items():
        if name in chosen:
            edges = tuple(edge for edge in spec.depends_on if edge.service in chosen)
            services[name] = dataclasses.replace(_settle(spec, plan, chosen), depends_on=edges)
    outside = tuple(name for name in plan.services if name not in chosen)
    return dataclasses.replace(plan, services=services, available=(*plan.available, *outside))


def with_auto_ports(plan: Plan) -> Plan:
    """`plan` with every fixed port made `auto`, so that two checkouts run side by side."""
    return dataclasses.replace(
        plan,
        services={name: dataclasses.replace(spec, ports=dict.fromkeys(spec.ports)) for name, spec in plan.services.items()},
    )


def port_key(last: str) -> str:
    """The name in `ServiceSpec.ports` for the end of a reference: `port` or `ports.X`."""
    return "default" if last == "port" else last.removeprefix("ports.")


def _settle(spec: ServiceSpec, plan: Plan, chosen: Collection[str]) -> ServiceSpec:
    def outside(path: str) -> str:
        service, last = split_reference(path)
        if service in chosen:
            return f"\0{path}\0"
        if last == "url":
            return resolve(plan.services[service].url or "")
        number = plan.services[service].ports.get(port_key(last))
        if number is None:
            raise UsageError(
                f"`{spec.name}` uses a port of `{service}` that is chosen when `{service}` starts, and `{service}` is left out",
                f"start {service} too, or give it a fixed port",
            )
        return str(number)

    def resolve(text: str) -> str:
        return REFERENCE.sub(lambda match: outside(match[1]), text)

    settled: ServiceSpec = _map_texts(spec, resolve)
    return settled


def _map_texts(value: Any, change: Any) -> Any:
    """`value` with `change` applied to every text that holds a reference."""
    if isinstance(value, str):
        return change(value) if "\0" in value else value
    if isinstance(value, tuple):
        return tuple(_map_texts(item, change) for item in value)
    if isinstance(value, Mapping):
        return {key: _map_texts(item, change) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        changed = {name: _map_texts(item, change) for name, item in fields.items()}
        return dataclasses.replace(value, **{name: item for name, item in changed.items() if item is not fields[name]})
    return value

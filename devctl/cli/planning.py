"""From the options of `up` to the plan that is run, and that plan for people (`--dry-run`)."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from devctl.cli import grid
from devctl.cli.names import check_names
from devctl.cli.style import Style
from devctl.errors import UsageError
from devctl.plan import Plan, ServiceSpec

if TYPE_CHECKING:
    from devctl.cli.where import Where

# `up -d` waits at least this long: a stack whose services are quick by their start periods may still find a slow machine.
LEAST_WAIT = 60.0
# What a service without a health check gets of the waiting time; a check's start period says it otherwise.
UNCHECKED_WAIT = 30.0


def plan_of(args: Namespace, where: Where, running: Iterable[str] = ()) -> Plan:
    """The plan that `up` means.

    Args:
        running: services that run already; those that the manifest still has stay, also when not asked for.
    """
    from devctl.manifest.graph import select, with_auto_ports

    asked = list(dict.fromkeys(args.services))
    plan = where.plan(asked)
    kept = [name for name in running if name in plan.services or name in plan.available]
    if any(name not in plan.services for name in kept):
        plan = where.plan([*asked, *kept])
    if asked:
        plan = select(plan, [*asked, *kept], with_dependencies=not args.no_deps)
    if args.exit_code_from:
        check_names([args.exit_code_from], plan.services)
    if not plan.services:
        raise UsageError(
            "there is nothing to start: every service is in a profile",
            f"name services, or a profile with --profile; there are: {', '.join(plan.available)}",
        )
    return with_auto_ports(plan) if args.auto_ports else plan


def depends_on(plan: Plan) -> dict[str, list[str]]:
    """Service → the services of the plan that it waits for."""
    return {
        name: [edge.service for edge in spec.depends_on if edge.service in plan.services] for name, spec in plan.services.items()
    }


def waves(plan: Plan) -> list[list[str]]:
    """The services by the step in which they can start at the earliest: each after what it waits for."""
    level: dict[str, int] = {}
    edges = depends_on(plan)
    for name in plan.services:  # dependencies come first in a plan
        level[name] = 1 + max((level[other] for other in edges[name]), default=-1)
    return [[name for name in level if level[name] == step] for step in range(max(level.values(), default=-1) + 1)]


def patience(plan: Plan) -> float:
    """Seconds that `up -d` waits unless told: what the start periods along the longest chain add up to, if that is more than 60."""
    longest: dict[str, float] = {}
    edges = depends_on(plan)
    for name, spec in plan.services.items():
        own = spec.healthcheck.start_period if spec.healthcheck is not None else UNCHECKED_WAIT
        longest[name] = own + max((longest[other] for other in edges[name]), default=0.0)
    return max([LEAST_WAIT, *longest.values()])


def plan_json(plan: Plan) -> dict[str, Any]:
    """`up --dry-run --json`."""
    return {
        "stack": plan.name,
        "directory": plan.directory,
        "waves": waves(plan),
        "services": [
            {
                "name": name,
                "argv": [readable(word) for word in spec.argv],
                "working_dir": spec.working_dir,
                "ports": {port: number if number is not None else "auto" for port, number in spec.ports.items()},
                "depends_on": [edge.service for edge in spec.depends_on],
            }
            for name, spec in plan.services.items()
        ],
    }


def plan_lines(plan: Plan, style: Style, width: int) -> list[str]:
    """The plan for people, in the order of the start."""
    columns = (
        grid.Column("STEP", right=True),
        grid.Column("SERVICE"),
        grid.Column("PORTS", drop=2),
        grid.Column("AFTER", drop=3, shrinks=True),
        grid.Column("COMMAND", shrinks=True, drop=1),
    )
    rows = [
        [str(step), name, ports(plan.services[name].ports), ", ".join(depends_on(plan)[name]), command(plan.services[name])]
        for step, names in enumerate(waves(plan), 1)
        for name in names
    ]
    return grid.render(columns, rows, style, width)


def ports(given: Mapping[str, int | None]) -> str:
    """`8888`, `auto`, `admin:9000`, separated by spaces."""
    texts = {name: "auto" if number is None else str(number) for name, number in given.items()}
    return " ".join(text if name == "default" else f"{name}:{text}" for name, text in texts.items())


def command(spec: ServiceSpec) -> str:
    """A service's command on one line."""
    return " ".join((spec.command or shlex.join(spec.argv)).split())


def readable(text: str) -> str:
    """References as the manifest writes them."""
    from devctl.plan import REFERENCE

    return REFERENCE.sub(lambda match: "${" + match[1] + "}", text)

"""`devctl check`, `config`, `graph` and `schema`: the manifest, without running it."""

from __future__ import annotations

import contextlib
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from devctl.cli.output import print_json
from devctl.cli.style import Style
from devctl.errors import ManifestError, NotRunning
from devctl.wording import plural

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.plan import Plan

GRAPHS = ("text", "mermaid", "dot")


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    if name == "check":
        parser.flag("--ports", help="also say who holds the ports")
        parser.json()
    elif name == "config":
        parser.services("only these, and what they depend on")
        parser.json()
    elif name == "graph":
        parser.services("only these, and what they depend on")
        parser.value("--format", help="text (default), mermaid or dot", choices=GRAPHS, default="text")
        parser.json()


def run(args: Namespace, where: Where) -> int:
    """Prints one of the four."""
    return {"check": check, "config": config, "graph": graph, "schema": schema}[args.name](args, where)


def check(args: Namespace, where: Where) -> int:
    """Exit status 2 with every problem; with --ports 1 when one is taken by somebody else."""
    try:
        plan = where.plan()
    except ManifestError as error:
        if not args.json:
            raise
        print_json({"ok": False, "problems": [problem_json(problem) for problem in error.problems]})
        return error.exit_status
    held = ports(plan, where) if args.ports else []
    bad = any(entry["holder"] is not None and not entry["ours"] for entry in held)
    if args.json:
        answer = {"ok": not bad, "problems": [], "services": list(plan.services), **({"ports": held} if args.ports else {})}
        print_json(answer)
        return 1 if bad else 0
    style = Style()
    files = ", ".join(plan.files)
    print(f"{style.state('ready').split(' ')[0]} {files}: {plural(len(plan.services), 'service')}, no problems")
    for entry in held:
        who = "this stack" if entry["ours"] else entry["holder"] or "free"
        state = "ready" if entry["ours"] or entry["holder"] is None else "failed"
        print(f"{style.state(state).split(' ')[0]} {entry['service']}  {entry['port']}  {who}")
    return 1 if bad else 0


def problem_json(problem: Any) -> dict[str, Any]:
    """One problem for `check --json`."""
    return {name: getattr(problem, name) for name in ("file", "line", "column", "message", "help")}


def ports(plan: Plan, where: Where) -> list[dict[str, Any]]:
    """Every fixed port of the plan and who listens on it. `ours`: this very stack."""
    from devctl.process.ports import holder, listening

    ours: dict[str, list[int]] = {}
    with contextlib.suppress(NotRunning):
        services = where.client().get("/v1/status")["services"]
        ours = {item["name"]: list(item["ports"].values()) for item in services if item["pid"] is not None}
    taken = listening()
    entries = []
    for name, spec in plan.services.items():
        for port in spec.ports.values():
            if port is None:
                continue
            found = holder(port) if port in taken else None
            own = found is not None and found.stack == plan.name and found.service == name and port in ours.get(name, ())
            entries.append({"service": name, "port": port, "holder": None if found is None else str(found), "ours": own})
    return entries


def chosen(args: Namespace, where: Where) -> Plan:
    """The plan, or the part of it that was asked for."""
    from devctl.manifest.graph import select

    plan = where.plan(args.services, check_commands=False)
    return select(plan, args.services) if args.services else plan


def config(args: Namespace, where: Where) -> int:
    """Prints the resolved manifest, secrets masked."""
    from devctl.manifest.config import render_config

    print(render_config(chosen(args, where), form="json" if args.json else "yaml"), end="")
    return 0


def graph(args: Namespace, where: Where) -> int:
    """Prints the dependency graph."""
    from devctl.manifest.draw import draw

    plan = chosen(args, where)
    if args.json:
        edges = {
            name: [{"service": edge.service, "condition": edge.condition.value} for edge in spec.depends_on]
            for name, spec in plan.services.items()
        }
        print_json(edges)
    else:
        print(draw(plan, args.format), end="")
    return 0


def schema(args: Namespace, where: Where) -> int:
    """Prints the JSON Schema."""
    from devctl.manifest.schema import json_schema

    print_json(json_schema())
    return 0

"""`devctl run` and `devctl exec`: a command in a service's environment, in this terminal."""

from __future__ import annotations

import argparse
import os
import sys
from argparse import Namespace
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from devctl.control.http1 import quote
from devctl.errors import NotReady, NotRunning, UnknownService, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.control.client import Client
    from devctl.plan import Plan

TAKES_REST = True


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    parser.add_argument("service", metavar="SERVICE", help="whose", completer="services")
    if name == "run":
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- ARG", help="arguments to add to its command")
    else:
        parser.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="the program and its arguments")


def run(args: Namespace, where: Where) -> int:
    """Runs the command, and passes its exit status on."""
    words = [*args.words, *(args.rest or [])]
    if args.name == "exec" and not words:
        raise UsageError("there is no command to run", f"devctl exec {args.service} -- COMMAND …")
    client = where.client()
    try:
        client.get("/health")
    except NotRunning as error:
        if args.name == "exec":
            raise where.not_running() from error
        return run_alone(args.service, words, where)
    if args.name == "exec":
        return start(client.get(f"/v1/services/{quote(args.service)}/environment"), words)
    given = beside(client, args.service, where)
    return start(given, [*given["argv"], *words])


def start(given: dict[str, Any], argv: Sequence[str]) -> int:
    """Runs `argv` with the environment and directory of an environment answer."""
    from devctl.cli.job import run_job

    # Forced colours are for pipes that devctl shows; here the command sees for itself what it writes to.
    environment = {
        name: value for name, value in given["environment"].items()
        if name not in ("FORCE_COLOR", "CLICOLOR_FORCE") or name in os.environ
    }  # fmt: skip
    sys.stdout.flush()
    return run_job(argv, environment, given["working_dir"])


def beside(client: Client, service: str, where: Where) -> dict[str, Any]:
    """The environment answer for a one-off beside a running stack, what it depends on being ready.

    The service need not be part of the stack: one in a profile often is a tool that is only ever run like this.
    """
    status = client.get("/v1/status")
    known = {item["name"]: item for item in status["services"]}
    if service in known:
        ready_dependencies(client, known[service]["depends_on"])
        return client.get(f"/v1/services/{quote(service)}/environment")
    plan = where.plan([service])
    ready_dependencies(client, [edge.service for edge in plan.services[service].depends_on])
    ports = {item["name"]: item["ports"] for item in client.get("/v1/status")["services"]}
    return alone_environment(plan, service, ports, status["run_id"])


def ready_dependencies(client: Client, needed: Sequence[str]) -> None:
    """Starts what a service depends on, and waits for it. Raises NotReady."""
    if needed:
        client.post("/v1/start", {"services": list(needed), "with_dependencies": True})
        wait_ready(client, needed)


def wait_ready(client: Client, services: Sequence[str]) -> None:
    """Waits until `services` are ready. Raises NotReady with the reasons when that can no longer be."""
    from devctl.cli.ask import explain, unmet, wait_for

    answer = wait_for(client, list(services), "ready", None)
    if not answer["done"]:
        raise NotReady("what it depends on is not ready", "\n".join(explain(client, unmet(answer, "ready"))))


def run_alone(service: str, words: Sequence[str], where: Where) -> int:
    """`run` where no stack is running: starts what the service depends on, and stops it afterwards."""
    from devctl.manifest.graph import select

    plan = where.plan([service])
    needed = [edge.service for edge in plan.services[service].depends_on if edge.service in plan.services]
    with ExitStack() as held:
        ports: dict[str, dict[str, int]] = {}
        run_id = ""
        if needed:
            from devctl.cli.down import teardown
            from devctl.control.launch import launch

            launched = launch(select(plan, needed, with_dependencies=True), where.paths(), lease=True)
            held.callback(launched.close)
            held.callback(lambda: teardown(where.paths()))
            launched.wait_serving()
            run_id = launched.run_id
            client = where.client()
            wait_ready(client, needed)
            ports = {item["name"]: item["ports"] for item in client.get("/v1/status")["services"]}
        given = alone_environment(plan, service, ports, run_id)
        return start(given, [*given["argv"], *words])


def alone_environment(plan: Plan, service: str, ports: dict[str, dict[str, int]], run_id: str) -> dict[str, Any]:
    """What the supervisor would say of a service that it does not run.

    Args:
        ports: those of the services that run. The others get their fixed ones; one that is `auto` and not running has none,
            but for the service itself.
    """
    from devctl.manifest.envfile import read_env_files
    from devctl.plan import expand, expand_urls
    from devctl.process.ports import free_port
    from devctl.supervisor.environment import service_environment

    known = {
        name: {port: number for port, number in spec.ports.items() if number is not None} | ports.get(name, {})
        for name, spec in plan.services.items()
    }
    for port in plan.services[service].ports:
        # Nobody else has to find this one, so any free port will do.
        known[service].setdefault(port, free_port(known[service].values()))
    urls: dict[str, str] = {}
    for name, other in plan.services.items():
        # What cannot be known, and perhaps need not be: it is missed below by the service that refers to it.
        with suppress(KeyError):
            urls |= expand_urls(replace(plan, services={name: other}), known)
    try:
        spec = expand(plan.services[service], known, urls)
    except KeyError as error:
        raise UnknownService(
            f"{service} refers to a port that is not known while the stack is not running: {error.args[0]}",
            "start the stack with devctl up -d, then run it again",
        ) from error
    files = read_env_files(spec.env_files, os.environ)
    environment = service_environment(spec, caller=os.environ, from_files=files, stack=plan.name, run_id=run_id)
    return {"environment": environment, "argv": list(spec.argv), "working_dir": spec.working_dir}

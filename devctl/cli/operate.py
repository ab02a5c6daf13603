"""`devctl start`, `stop` and `restart`: single services of a running stack."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from devctl.cli.output import print_json
from devctl.cli.style import Style
from devctl.errors import NotRunning

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where

# Stopping takes as long as the longest grace period among the services and what depends on them; nobody sets more than this.
STOP_LIMIT = 3600.0


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    parser.services("which ones", at_least=1)
    if name == "start":
        parser.flag("--no-deps", help="leave what they depend on as it is")
    else:
        parser.flag("--with-dependents", help="also what depends on them")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Asks the supervisor; `stop` and `restart` return when the old process trees are gone."""
    body: dict[str, Any] = {"services": list(dict.fromkeys(args.services))}
    if args.name == "start":
        body["with_dependencies"] = not args.no_deps
    else:
        body["with_dependents"] = args.with_dependents
    try:
        answer = where.client(timeout=STOP_LIMIT).post(f"/v1/{args.name}", body)
    except NotRunning as error:
        raise where.not_running() from error
    if args.json:
        print_json(answer)
        return 0
    style = Style()
    width = max((len(service["name"]) for service in answer["services"]), default=0)
    for service in answer["services"]:
        reason = f"  {service['reason']}" if service["reason"] else ""
        print(f"{service['name']:<{width}}  {style.state(service['state'])}{reason}")
    return 0

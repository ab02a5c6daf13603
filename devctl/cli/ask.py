"""`devctl wait` and `devctl why`: block until it is so, and why it is not."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from devctl.cli import grid
from devctl.cli.arguments import duration
from devctl.cli.output import print_json
from devctl.cli.style import Style
from devctl.errors import ControlError, NotReady, NotRunning
from devctl.wording import seconds

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.control.client import Client

CONDITIONS = ("ready", "stopped", "unhealthy", "completed")
ROUND = 30.0  # seconds: one request waits at most this long, so that a supervisor that hangs is noticed
WELL = ("ready", "completed", "external")


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    if name == "wait":
        parser.services("which ones (default: all)")
        parser.value("--for", help="what to wait for (default: ready)", choices=CONDITIONS, default="ready")
        parser.value("--timeout", help="give up after this long, with exit status 1", type=duration, metavar="TIME")
    else:
        parser.services("which ones (default: every one that is not ready)")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Waits or explains."""
    client = where.client(timeout=ROUND + 10)
    try:
        return wait(args, client) if args.name == "wait" else why(args, client)
    except NotRunning as error:
        raise where.not_running() from error


def wait(args: Namespace, client: Client) -> int:
    """Exit status 0 when the condition holds; 1 when time is up or it can no longer happen."""
    condition = getattr(args, "for")
    began = time.monotonic()
    answer = wait_for(client, args.services, condition, args.timeout)
    if args.json:
        print_json(answer)
        return 0 if answer["done"] else 1
    if answer["done"]:
        return 0
    missing = unmet(answer, condition)
    who = ", ".join(missing)
    if answer["impossible"]:
        what = f"{who}: can no longer become {condition}"
    else:
        what = f"{who}: not {condition} after {seconds(time.monotonic() - began)}"
    raise NotReady(what, "\n".join(explain(client, missing)))


def wait_for(client: Client, services: list[str], condition: str, timeout: float | None) -> dict[str, Any]:
    """The answer of GET /v1/wait, asked again and again until it is decided; `timeout` in seconds, None for ever.

    When the supervisor ends meanwhile, everything is stopped; waiting for anything else raises NotRunning.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        left = ROUND if deadline is None else max(0.0, min(ROUND, deadline - time.monotonic()))
        query = {"for": condition, "timeout": f"{left:.3f}"} | ({"services": ",".join(services)} if services else {})
        try:
            answer = client.get(f"/v1/wait?{urlencode(query)}")
        except (NotRunning, ControlError):
            if condition == "stopped" and timeout is None:
                return {"done": True, "timed_out": False, "services": [], "impossible": []}
            raise
        if not answer["timed_out"] or (deadline is not None and time.monotonic() >= deadline):
            return answer


def unmet(answer: dict[str, Any], condition: str) -> list[str]:
    """The services that keep it from being done."""
    if answer["impossible"]:
        return list(answer["impossible"])
    good = WELL if condition == "ready" else (condition,)
    return [service["name"] for service in answer["services"] if service["state"] not in good]


def explain(client: Client, names: list[str]) -> list[str]:
    """One sentence for each service."""
    return [str(client.get(f"/v1/services/{quote(name, safe='')}/why")["sentence"]) for name in names]


def why(args: Namespace, client: Client) -> int:
    """Prints the sentence and its evidence."""
    names = list(dict.fromkeys(args.services))
    if not names:
        services = client.get("/v1/status")["services"]
        names = [service["name"] for service in services if service["state"] not in WELL]
    answers = [client.get(f"/v1/services/{quote(name, safe='')}/why") for name in names]
    if args.json:
        print_json(answers[0] if len(args.services) == 1 else answers)
        return 0
    if not answers:
        print("all services are ready", file=sys.stderr)
    style = Style()
    for position, answer in enumerate(answers):
        if position:
            print()
        print("\n".join(explanation(answer, style)))
    return 0


def explanation(answer: dict[str, Any], style: Style) -> list[str]:
    """An Explanation for people: the sentence, the chain to the root cause, the evidence."""
    pairs = [(entry["label"], entry["text"]) for entry in answer["evidence"]]
    if len(answer["chain"]) > 1:
        pairs.insert(0, ("chain", (" ← " if style.unicode else " <- ").join(answer["chain"])))
    head = f"{style.state(answer['state'])}  {style.paint(answer['sentence'], 'bold')}"
    return [head, *grid.key_values(pairs, style)]

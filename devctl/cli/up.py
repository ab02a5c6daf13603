"""`devctl up`: start the stack, or bring a running one in line with its manifest, and follow it."""

from __future__ import annotations

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from devctl.cli.arguments import duration
from devctl.cli.output import print_json
from devctl.cli.planning import depends_on, patience, plan_json, plan_lines, plan_of
from devctl.cli.printer import Printer
from devctl.cli.progress import WELL, Progress
from devctl.cli.stopped import LOG_SUFFIX
from devctl.cli.style import Style, cells, columns, pad
from devctl.errors import NotRunning, StackBusy, UsageError
from devctl.wording import changes, seconds, timestamp

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.control.client import Client, Lease
    from devctl.control.launch import Launched
    from devctl.logs.record import Record
    from devctl.paths import StackPaths
    from devctl.plan import Plan

SERVE_TIMEOUT = 10.0  # seconds; the API answers some 200 ms after the launch, and only a machine in trouble needs more
INTERRUPTED = 130
TICK = 60.0  # seconds between two empty batches of records; new lines wake the reader at once


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options."""
    parser.services("only these, and what they depend on")
    parser.flag("-d", "--detach", help="return once all is ready, and leave it running")
    parser.flag("--no-wait", help="with -d: return at once")
    parser.value("--timeout", help="with -d: wait at most this long (default: as the start periods add up, at least 60s)",
                 type=duration, metavar="TIME")  # fmt: skip
    parser.flag("--no-deps", help="leave out what they depend on")
    parser.flag("--auto-ports", help="free ports in place of the fixed ones: two checkouts run side by side")
    parser.flag("--abort-on-exit", help="stop everything when one service has ended")
    parser.flag("--abort-on-failure", help="stop everything when one service has failed")
    parser.value("--exit-code-from", help="as --abort-on-exit, with this one's exit status", metavar="SERVICE",
                 completer="services")  # fmt: skip
    parser.flag("--no-ui", help="labelled lines, no dashboard")
    parser.flag("--dry-run", help="print the plan, start nothing")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Starts or reconciles, then follows or returns."""
    check(args)
    if args.dry_run:
        plan = plan_of(args, where)
        if args.json:
            print_json(plan_json(plan))
        else:
            print("\n".join(plan_lines(plan, Style(), columns())))
        return 0
    with ExitStack() as held:
        launching: list[StackPaths] = []
        try:
            stack = begin(args, where, held, launching)
            if args.detach:
                return detached(args, stack)
            from devctl.cli.dashboard import wanted

            return dashboard(stack) if wanted(args) else foreground(args, stack)
        except KeyboardInterrupt:
            # So early that nobody listens to signals yet. The next one must not end this command before the stack has ended.
            further: list[int] = []
            signal.signal(signal.SIGINT, lambda number, _: further.append(number))
            # Without the lease the supervisor ends what it has begun.
            held.close()
            for paths in launching:
                stop_again(paths, further)
            return INTERRUPTED


def check(args: Namespace) -> None:
    """Raises UsageError for options that make no sense together."""
    following = [
        option
        for option, given in (
            ("--abort-on-exit", args.abort_on_exit),
            ("--abort-on-failure", args.abort_on_failure),
            ("--exit-code-from", args.exit_code_from is not None),
        )
        if given
    ]
    if args.detach and following:
        raise UsageError(f"{following[0]} needs somebody who follows the stack", "leave out --detach")
    if not args.detach and (args.no_wait or args.timeout is not None):
        raise UsageError(f"{'--no-wait' if args.no_wait else '--timeout'} is for a detached start", "add --detach")
    if args.json and not (args.detach or args.dry_run):
        raise UsageError("--json needs an end to print at", "add --detach or --dry-run")


@dataclass(frozen=True, slots=True)
class Begun:
    """A stack that was started or joined.

    Attributes:
        run: of a stack that was not running before; holds the lease.
        started: services that this command has started or restarted.
        change: what reconciling has changed, in words.
        lease: the hold on a stack that was running before.
    """

    where: Where
    client: Client
    plan: Plan
    run: Launched | None
    started: tuple[str, ...]
    change: str = ""
    lease: Lease | None = None

    @property
    def fresh(self) -> bool:
        return self.run is not None

    def detach(self) -> None:
        """The stack goes on without this command."""
        if self.run is not None:
            self.run.detach()
        if self.lease is not None:
            self.lease.detach()


def begin(args: Namespace, where: Where, held: ExitStack, launching: list[StackPaths]) -> Begun:
    """Launches the stack; reconciles it when it runs already.

    Args:
        held: gets the lease.
        launching: gets the stack's paths for as long as it is this command that starts it.
    """
    client = where.client()
    try:
        running = [service["name"] for service in client.get("/v1/status")["services"]]
    except NotRunning:
        plan = plan_of(args, where)
        launching.append(where.paths())
        try:
            return launched(where, plan, client, held)
        except StackBusy:
            launching.clear()
            # Another `up` was quicker, and its supervisor does not listen yet; or a `down` is not through yet.
            running = [service["name"] for service in serving(client)["services"]]
    plan = plan_of(args, where, running)
    return joined(args, where, plan, client, held)


def launched(where: Where, plan: Plan, client: Client, held: ExitStack) -> Begun:
    """A new run. Raises StackBusy when there is one already."""
    from devctl.control.launch import launch

    # `up -d` has a lease too, until it is through: whatever ends it before, what it has begun ends as well.
    run = launch(plan, where.paths(), lease=True)
    held.callback(run.close)
    if run.recovery is not None:
        from devctl.cli.receipts import recovered

        print("\n".join(recovered(run.recovery)), file=sys.stderr)
    run.wait_serving()
    return Begun(where, client, plan, run, tuple(plan.services))


def joined(args: Namespace, where: Where, plan: Plan, client: Client, held: ExitStack) -> Begun:
    """The running stack, brought in line with the manifest."""
    from devctl.plan import to_json

    lease = None if args.detach else client.lease()
    if lease is not None:
        held.callback(lease.close)
    answer = client.post("/v1/reload", {"plan": to_json(plan)})
    touched = (*answer["started"], *answer["restarted"])
    return Begun(where, client, plan, None, touched, changes(answer) or "nothing has changed", lease)


def serving(client: Client) -> dict[str, Any]:
    """The status, once somebody answers. Raises NotRunning when nobody does for a while."""
    deadline = time.monotonic() + SERVE_TIMEOUT
    while True:
        try:
            return client.get("/v1/status")
        except NotRunning:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)  # there is no event for "a socket that is not there yet begins to listen"


def progress_of(stack: Begun) -> tuple[Progress, Iterable[dict[str, Any]]]:
    """What is known of the services, and the events after that. A fresh run's are read from its begin."""
    progress = Progress(depends_on(stack.plan))
    past = [] if stack.fresh else stack.client.get("/v1/events")["events"]
    progress.take(stack.client.get("/v1/status"))
    if stack.fresh:
        progress.rewind()
    return progress, stack.client.events(past[-1]["id"] if past else 0)


def detached(args: Namespace, stack: Begun) -> int:
    """Waits for readiness unless told not to, and prints where everything is."""
    from devctl.cli.startup import Outcome, Startup

    if stack.change and not args.json:
        print(stack.change, file=sys.stderr)
    if args.no_wait:
        stack.detach()
        return summary(args, stack.client.get("/v1/status"), None)
    timeout = patience(stack.plan) if args.timeout is None else args.timeout
    began = time.monotonic()
    progress, events = progress_of(stack)
    outcome = Startup(progress, timeout, lambda: stack.client.get("/v1/status"), quiet=args.json).wait(events)
    if outcome is Outcome.INTERRUPTED:
        return undo(stack)
    stack.detach()
    status = stack.client.get("/v1/status")
    took = time.time() - timestamp(status["started_at"]) if stack.fresh else time.monotonic() - began
    code = summary(args, status, took)
    missing = [service for service in status["services"] if service["state"] not in WELL]
    if missing:
        from devctl.cli.ask import explain

        if outcome is Outcome.TIMEOUT:
            print(f"not ready after {seconds(timeout)}:", file=sys.stderr)
        for sentence in explain(stack.client, [service["name"] for service in missing]):
            print(f"{Style(sys.stderr).paint('error:', 'red', 'bold')} {sentence}", file=sys.stderr)
        print("  the rest was left running: devctl why, devctl logs, devctl down", file=sys.stderr)
        return 1
    return code


def undo(stack: Begun) -> int:
    """Ctrl-C while waiting: stops what this command has started."""
    if stack.fresh:
        stop_again(stack.where.paths())
    elif stack.started:
        print(f"stopping {', '.join(stack.started)}", file=sys.stderr)
        stack.client.post("/v1/stop", {"services": list(stack.started)})
    return INTERRUPTED


def stop_again(paths: StackPaths, further: Sequence[int] = ()) -> None:
    """Stops a stack that this command has started, and says so. Ctrl-C kills what is left, now.

    Args:
        further: not empty when Ctrl-C has been pressed again already.
    """
    from devctl.cli.down import patiently
    from devctl.cli.receipts import outcome_lines
    from devctl.control.teardown import Outcome

    print("stopping what was started (Ctrl-C kills)", file=sys.stderr)
    outcome = patiently(paths, None, further)
    if outcome != Outcome():
        print("\n".join(outcome_lines(outcome)), file=sys.stderr)


def summary(args: Namespace, status: dict[str, Any], took: float | None) -> int:
    """Prints the status as JSON, or each service's address."""
    if args.json:
        print_json(status)
        return 0
    style = Style()
    width = max(cells(service["name"]) for service in status["services"])
    for service in status["services"]:
        print(f"{pad(service['name'], width)}  {style.state(service['state'], 11)}  {service['url'] or ''}".rstrip())
    if took is not None and status["state"] == "ready":
        print(f"{status['stack']} is ready, after {seconds(took)}", file=sys.stderr)
    return 0


def dashboard(stack: Begun) -> int:
    """Opens the dashboard; unless it is told to leave the stack running, closing it has stopped that."""
    from devctl.cli.dashboard import context
    from devctl.dashboard import run as open_dashboard

    status = stack.client.get("/v1/status")
    since = int(timestamp(status["started_at"]) * 1e9) if stack.fresh else None
    return open_dashboard(context(stack.where, status, detach=stack.detach, since=since, message=stack.change))


def foreground(args: Namespace, stack: Begun) -> int:
    """Follows the stack until it ends or is left; leaving stops it."""
    from devctl.cli.down import teardown
    from devctl.cli.session import Rules, Session

    printer = Printer(list(stack.plan.services))
    if stack.change:
        printer.say(stack.change)
    progress, events = progress_of(stack)
    rules = Rules(
        args.abort_on_exit,
        args.abort_on_failure,
        args.exit_code_from,
        frozenset(name for name, spec in stack.plan.services.items() if spec.oneshot),
    )
    paths = stack.where.paths()
    status = stack.client.get("/v1/status")
    session = Session(
        printer,
        progress,
        teardown=lambda force: teardown(paths, force=force),
        status=lambda: stack.client.get("/v1/status"),
        rules=rules,
        started_at=timestamp(status["started_at"]) if stack.fresh else None,
    )
    return session.run(events, follow_logs(stack, status, progress))


def follow_logs(stack: Begun, status: dict[str, Any], progress: Progress) -> Callable[[int], Iterable[list[Record]]]:
    """What reads records, from the run's begin on; of a joined stack, from now on."""
    from devctl.logs.follow import follow

    directory = (Path(status["directory"]) / status["services"][0]["log"]).parent

    def sources() -> list[tuple[str, Path]]:
        return [(name, directory / f"{name}{LOG_SUFFIX}") for name in list(progress.services)]

    since = int(timestamp(status["started_at"]) * 1e9) if stack.fresh else None
    return lambda stop: follow(sources, tick=TICK, stop=stop, since=since, tail=None if stack.fresh else 0)

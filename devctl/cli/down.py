"""`devctl down`: stops the stack and proves that nothing is left."""

from __future__ import annotations

import signal
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from devctl.cli.arguments import duration
from devctl.cli.output import print_json
from devctl.cli.style import Style
from devctl.wording import seconds

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.control.teardown import Outcome
    from devctl.paths import StackPaths

# What is done within this needs no live line: it would only flash.
PATIENCE = 0.3
INTERRUPTED = 130


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options."""
    parser.value("--timeout", help="kill what is left after this long in all", type=duration, metavar="TIME")
    parser.flag("--all", help="every stack of yours, wherever it is")
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Stops one stack or all. Exit status 1 when something is left."""
    if args.all:
        from devctl.cli.stacks import down_all

        return down_all(args)
    paths = where.paths()
    outcome = None if nothing_ever_ran(paths) else patiently(paths, args.timeout)
    if args.json:
        from devctl.cli.receipts import outcome_json
        from devctl.control.teardown import Outcome

        print_json(outcome_json(outcome or Outcome()))
    elif outcome is None:
        print("nothing is running")
    else:
        from devctl.cli.receipts import outcome_lines

        print("\n".join(outcome_lines(outcome)))
    return 0 if outcome is None or outcome.clean else 1


def nothing_ever_ran(paths: StackPaths) -> bool:
    """Whether there is nothing that could have to be stopped: nobody holds the lock, and the last run, if any, ended in order."""
    from devctl.cli.where import read_json
    from devctl.process import lock

    if lock.is_held(paths.lock):
        return False
    if not paths.state.exists():
        return True
    # A damaged file says nothing, least of all that the run has ended.
    last = read_json(paths.state) or {}
    return last.get("ended") is True and last.get("crash") is None


def teardown(paths: StackPaths, *, force: bool = False) -> tuple[str, int]:
    """Stops a stack; what to say about it ("" when nothing was running), and the exit status."""
    from devctl.cli.receipts import outcome_lines
    from devctl.control.teardown import Outcome
    from devctl.control.teardown import teardown as end

    outcome = end(paths, force=force)
    if outcome == Outcome():
        return "", 0
    return "\n".join(outcome_lines(outcome)), 0 if outcome.clean else 1


def patiently(paths: StackPaths, timeout: float | None, pressed: Sequence[int] = ()) -> Outcome:
    """Stops a stack, with a live line on a terminal when it takes time. Ctrl-C kills what is left, now.

    Args:
        pressed: not empty when Ctrl-C has been pressed already.
    """
    from devctl.cli.live import FRAME, LiveArea, spinner
    from devctl.control.teardown import teardown as end

    results: list[Outcome | BaseException] = []
    changed = threading.Condition()
    forced = False

    def work(force: bool) -> None:
        result: Outcome | BaseException
        try:
            result = end(paths, force=force, timeout=timeout)
        except BaseException as error:
            result = error
        with changed:
            results.append(result)
            changed.notify()

    def interrupted(*_: object) -> None:
        nonlocal forced
        if not forced:
            forced = True
            threading.Thread(target=work, args=(True,), daemon=True).start()

    signal.signal(signal.SIGINT, interrupted)
    style = Style(sys.stderr)
    area = LiveArea(sys.stderr) if style.terminal else None
    began = time.monotonic()
    threading.Thread(target=work, args=(False,), daemon=True).start()
    if pressed:
        interrupted()
    with changed:
        while not results:
            changed.wait(FRAME)
            took = time.monotonic() - began
            if area is not None and took > PATIENCE:
                hint = "killing" if forced else "stopping (Ctrl-C kills)"
                area.show([f"{style.paint(spinner(style.unicode), 'yellow')} {hint} {seconds(took)}"])
    if area is not None:
        area.clear()
    if isinstance(results[0], BaseException):
        raise results[0]
    return results[0]

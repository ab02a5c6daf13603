"""The task that knows whether one service is ready."""

from __future__ import annotations

import re
from collections.abc import Callable

from devctl.health.asking import Asker
from devctl.health.listening import Listener, LogListener, NotifyListener
from devctl.health.result import Checker, ExecRunner, ProbeResult
from devctl.plan import ExecProbe, HealthCheck, HttpProbe, LogProbe, NotifyProbe, Probe, TcpProbe


class Prober:
    """Asks one instance of a service, or waits to be told, and reports.

    Args:
        check: what to ask and how often, references to ports replaced. Times in seconds.
        report: gets every result, in the event loop; must not block.
        run_exec: runs the command of an exec probe.

    Raises:
        ValueError: an exec probe without `run_exec`.

    A probe that can never work (an impossible URL, a broken pattern) is not an error here but a failing result that says so.
    """

    def __init__(
        self,
        check: HealthCheck,
        *,
        report: Callable[[ProbeResult], None],
        run_exec: ExecRunner | None = None,
    ) -> None:
        self._by = _method(check, report, run_exec)

    async def run(self) -> None:
        """Probes until it is cancelled.

        An asking probe reports after each probe: at once, by the cadence until the first success, then every `interval`. A log
        or notify probe reports at the start and whenever it is told something new.
        """
        await self._by.run()

    def nudge(self) -> None:
        """Something hints that the service may be ready: asks very soon unless it is known to be. Cheap, and bounded in rate."""
        self._by.nudge()

    def feed(self, block: bytes, stream: str = "") -> None:
        """Output of the service, in blocks as they come.

        A log probe looks into it, and `stream` keeps the unfinished lines of stdout and stderr apart. For one that asks it is a
        nudge.
        """
        self._by.feed(block, stream)

    def notify(self, message: bytes) -> None:
        """A datagram from the service's NOTIFY_SOCKET."""
        self._by.notify(message)


async def probe_once(
    probe: Probe,
    timeout: float,
    *,
    run_exec: ExecRunner | None = None,
) -> ProbeResult:
    """Asks once, within `timeout` seconds.

    Log and notify probes cannot be asked: their answer is a failing result that says so.

    Raises:
        ValueError: an exec probe without `run_exec`.
    """
    if isinstance(probe, LogProbe | NotifyProbe):
        return ProbeResult(False, f"a {probe.kind} check speaks up by itself, and only to the run that started the service", 0.0)
    checker = _checker(probe, run_exec)
    result = await checker.check(timeout)
    await checker.settle()
    return result


def _method(check: HealthCheck, report: Callable[[ProbeResult], None], run_exec: ExecRunner | None) -> Asker | Listener:
    probe = check.probe
    if isinstance(probe, NotifyProbe):
        return NotifyListener(report)
    if isinstance(probe, LogProbe):
        try:
            return LogListener(probe, report)
        except re.error as error:
            return Asker(check, _Impossible(f"{probe.pattern!r} is no regular expression: {error}"), report)
    return Asker(check, _checker(probe, run_exec), report)


def _checker(probe: HttpProbe | TcpProbe | ExecProbe, run_exec: ExecRunner | None) -> Checker:
    if isinstance(probe, ExecProbe):
        if run_exec is None:
            raise ValueError("an exec probe needs run_exec")
        from devctl.health.exec import ExecChecker

        return ExecChecker(probe, run_exec)
    try:
        if isinstance(probe, TcpProbe):
            from devctl.health.tcp import TcpChecker

            return TcpChecker(probe)
        # Imported when first needed: h11 costs 20 ms, and a stack may do without.
        from devctl.health.http import HttpChecker

        return HttpChecker(probe)
    except (ValueError, re.error) as error:
        return _Impossible(str(error))


class _Impossible:
    """Stands for a probe that can never pass, so that its reason is shown where people look."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    async def check(self, within: float) -> ProbeResult:
        return ProbeResult(False, self._reason, 0.0)

    async def settle(self) -> None:
        """Nothing is open."""

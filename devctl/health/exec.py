"""The exec probe: passes when a command exits 0. The engine runs it, in the service's environment."""

from __future__ import annotations

import asyncio

from devctl.errors import DevctlError
from devctl.health.result import ExecRunner, ProbeResult, duration, excerpt
from devctl.plan import ExecProbe


class ExecChecker:
    """Runs `probe.argv` with `runner`, which kills the command's whole tree when its time is over."""

    def __init__(self, probe: ExecProbe, runner: ExecRunner) -> None:
        self._argv = probe.argv
        self._runner = runner

    async def check(self, within: float) -> ProbeResult:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            result = await self._runner(self._argv, within)
        except (DevctlError, OSError) as error:  # the program is missing, or may not be executed
            what = error.what if isinstance(error, DevctlError) else str(error)
            return ProbeResult(False, f"the check cannot run: {excerpt(what, 200)}", loop.time() - began)
        took = loop.time() - began
        if result.exit_code == 0 and not result.timed_out:
            return ProbeResult(True, f"exit 0 in {duration(took)}", took)
        if result.timed_out:
            how = f"still running after {duration(within)}, killed"
        elif result.exit_code is None:
            how = "ended by a signal"
        else:
            how = f"exit {result.exit_code}"
        said = _last_line(result.output)
        return ProbeResult(False, f"{how}: {said}" if said else how, took)

    async def settle(self) -> None:
        """Nothing is open."""


def _last_line(output: str) -> str:
    """Where commands say what is wrong."""
    lines = [line for line in output.splitlines() if line.strip()]
    return excerpt(lines[-1]) if lines else ""

"""The exec probe, with the runner that the engine injects replaced at its edge."""

from __future__ import annotations

import asyncio

import pytest

from devctl.errors import SpawnError
from devctl.health import ExecResult, ExecRunner, Prober, ProbeResult, probe_once
from devctl.plan import ExecProbe, HealthCheck

PROBE = ExecProbe(("pg_isready", "-q"))


def answering(result: ExecResult | Exception) -> ExecRunner:
    async def run(argv: tuple[str, ...], timeout: float) -> ExecResult:
        assert (argv, timeout) == (PROBE.argv, 2.0)
        if isinstance(result, Exception):
            raise result
        return result

    return run


def ask(result: ExecResult | Exception) -> ProbeResult:
    return asyncio.run(probe_once(PROBE, 2.0, run_exec=answering(result)))


def test_exit_zero_passes() -> None:
    """Whatever it wrote."""
    result = ask(ExecResult(0, "accepting connections\n", False))
    assert result.ok
    assert result.detail.startswith("exit 0 in ")


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        (ExecResult(2, "trying\nno \x1b[1mresponse\n\n", False), "exit 2: no [1mresponse"),
        (ExecResult(1, "", False), "exit 1"),
        (ExecResult(None, "", False), "ended by a signal"),
        (ExecResult(None, "still trying", True), "still running after 2 s, killed: still trying"),
        (ExecResult(0, "", True), "still running after 2 s, killed"),
        (SpawnError("pg_isready: not found on PATH", "install it"), "the check cannot run: pg_isready: not found on PATH"),
        (PermissionError(13, "Permission denied"), "the check cannot run: [Errno 13] Permission denied"),
    ],
)
def test_anything_else_fails_and_says_how(result: ExecResult | Exception, detail: str) -> None:
    """The last line it wrote is where commands say what is wrong."""
    answer = ask(result)
    assert not answer.ok
    assert answer.detail == detail


def test_without_a_runner_it_is_a_mistake_of_the_caller() -> None:
    """Health spawns nothing by itself."""
    with pytest.raises(ValueError, match="run_exec"):
        Prober(HealthCheck(PROBE), report=lambda result: None)

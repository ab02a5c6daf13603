"""The prober: one task per service that reports until it is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from devctl.health import ExecResult, Prober, ProbeResult, asking, probe_once
from devctl.health.cadence import StartCadence
from devctl.plan import ExecProbe, HealthCheck, HttpProbe, LogProbe, NotifyProbe, TcpProbe

if TYPE_CHECKING:
    from tests.health.conftest import Connection, Serve

HANG_GUARD = 30.0
EXEC = ExecProbe(("check",))


class Reports:
    """Collects results and awaits a condition on them."""

    def __init__(self) -> None:
        self.results: list[ProbeResult] = []
        self._more = asyncio.Event()

    def __call__(self, result: ProbeResult) -> None:
        self.results.append(result)
        self._more.set()

    async def until(self, condition: Callable[[list[ProbeResult]], bool]) -> list[ProbeResult]:
        async with asyncio.timeout(HANG_GUARD):
            while not condition(self.results):
                self._more.clear()
                await self._more.wait()
        return self.results

    async def count(self, number: int) -> list[ProbeResult]:
        return await self.until(lambda results: len(results) >= number)

    async def ok(self) -> list[ProbeResult]:
        return await self.until(lambda results: results[-1:] != [] and results[-1].ok)


@asynccontextmanager
async def running(prober: Prober) -> AsyncIterator[None]:
    task = asyncio.create_task(prober.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def answer(connection: Connection) -> None:
    connection.request()
    connection.say(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


def test_a_port_that_opens_later_is_found() -> None:
    """It is asked again and again while refused, and passes once somebody listens."""

    async def run() -> None:
        reports = Reports()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            async with running(Prober(HealthCheck(TcpProbe(f"127.0.0.1:{port}")), report=reports)):
                refused = list(await reports.count(5))
                assert not any(result.ok for result in refused)
                listener.listen()
                await reports.ok()

    asyncio.run(run())


def test_it_keeps_asking_at_the_interval(serve: Serve) -> None:
    """After the first success the probe goes on, and a failure is reported as soon as it is seen."""

    async def run() -> None:
        reports = Reports()
        healthy = True

        def sin(connection: Connection) -> None:
            connection.request()
            connection.say(b"HTTP/1.1 200 OK\r\n\r\n" if healthy else b"HTTP/1.1 500 Broken\r\n\r\n")

        probe = HttpProbe(f"http://127.0.0.1:{serve(sin).port}/")
        async with running(Prober(HealthCheck(probe, interval=0.02), report=reports)):
            assert all(result.ok for result in await reports.count(5))
            healthy = False
            results = await reports.until(lambda results: not results[-1].ok)
            assert results[-1].detail == "500 Broken"

    asyncio.run(run())


def test_a_slow_probe_never_overlaps_itself() -> None:
    """One that takes longer than the interval is followed, not doubled, nudges or not."""

    async def run() -> None:
        reports = Reports()
        running_now = 0
        calls = 0

        async def slow(argv: tuple[str, ...], limit: float) -> ExecResult:
            nonlocal running_now, calls
            assert running_now == 0
            running_now += 1
            calls += 1
            for _ in range(5):
                prober.nudge()
                await asyncio.sleep(0.005)
            running_now -= 1
            return ExecResult(0 if calls > 3 else 1, "", False)

        prober = Prober(HealthCheck(EXEC, interval=0.01), report=reports, run_exec=slow)
        async with running(prober):
            await reports.count(8)

    asyncio.run(run())


def test_a_hanging_probe_delays_nobody_else(serve: Serve) -> None:
    """Each service has its own task."""

    async def run() -> None:
        stuck, fine = Reports(), Reports()
        hanging = serve(lambda connection: connection.wait() and None)
        good = serve(answer)
        probes = [HttpProbe(f"http://127.0.0.1:{server.port}/") for server in (hanging, good)]
        slow = Prober(HealthCheck(probes[0], timeout=600), report=stuck)
        async with running(slow), running(Prober(HealthCheck(probes[1], interval=0.01), report=fine)):
            assert all(result.ok for result in await fine.count(10))
            assert not stuck.results

    asyncio.run(run())


class Lazy(StartCadence):
    """Asks again only when it was nudged."""

    def after(self, began: float, ended: float, now: float, crowd: int = 1) -> float:
        return now if self.nudged >= ended else now + 3600


def nudge(prober: Prober) -> None:
    prober.nudge()


def write(prober: Prober) -> None:
    prober.feed(b"listening\n")


@pytest.mark.parametrize("hint", [nudge, write])
def test_a_hint_brings_the_next_probe_forward(monkeypatch: pytest.MonkeyPatch, hint: Callable[[Prober], None]) -> None:
    """Output, or a nudge, is answered with a probe instead of waiting for the gap to end."""
    monkeypatch.setattr(asking, "StartCadence", Lazy)

    async def run() -> None:
        reports = Reports()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            check = HealthCheck(TcpProbe(f"127.0.0.1:{listener.getsockname()[1]}"))
            prober = Prober(check, report=reports)
            async with running(prober):
                await reports.count(1)
                await asyncio.sleep(0)  # lets it begin its pause
                hint(prober)
                await reports.count(2)
                listener.listen()
                await asyncio.sleep(0)
                hint(prober)
                await reports.ok()

    asyncio.run(run())


def test_hints_before_and_after_mean_nothing(serve: Serve) -> None:
    """A prober that does not run yet, or knows that the service is ready, ignores them."""

    async def run() -> None:
        reports = Reports()
        prober = Prober(HealthCheck(HttpProbe(f"http://127.0.0.1:{serve(answer).port}/"), interval=3600), report=reports)
        prober.nudge()
        async with running(prober):
            await reports.ok()
            for _ in range(100):
                prober.nudge()
                prober.feed(b"request served\n")
                await asyncio.sleep(0)
            assert len(reports.results) == 1

    asyncio.run(run())


def test_it_stops_counting_as_starting(serve: Serve) -> None:
    """The load that starting services share is divided among those that do start: ready and cancelled ones leave."""

    async def run() -> None:
        before = asking.Asker.starting
        ready, waiting = Reports(), Reports()
        good = Prober(HealthCheck(HttpProbe(f"http://127.0.0.1:{serve(answer).port}/"), interval=0.01), report=ready)
        bad = Prober(HealthCheck(TcpProbe("no address")), report=waiting)
        async with running(good), running(bad):
            await ready.count(2)
            await waiting.count(1)
            assert asking.Asker.starting == before + 1
        assert asking.Asker.starting == before

    asyncio.run(run())


def test_cancelling_closes_the_connection(serve: Serve) -> None:
    """A prober that is cancelled in the middle of a probe leaves no descriptor behind."""
    asked, closed = threading.Event(), threading.Event()

    def sin(connection: Connection) -> None:
        connection.request()
        asked.set()
        connection.sock.recv(1)
        closed.set()

    async def run() -> None:
        prober = Prober(HealthCheck(HttpProbe(f"http://127.0.0.1:{serve(sin).port}/"), timeout=600), report=Reports())
        async with running(prober):
            assert await asyncio.to_thread(asked.wait, HANG_GUARD)
        assert await asyncio.to_thread(closed.wait, HANG_GUARD)

    asyncio.run(run())


@pytest.mark.parametrize("probe", [HttpProbe("nonsense"), TcpProbe("nonsense"), LogProbe("(")])
def test_an_impossible_probe_reports_why(probe: HttpProbe | TcpProbe | LogProbe) -> None:
    """It fails like any other, so that the reason is seen where people look."""

    async def run() -> None:
        reports = Reports()
        async with running(Prober(HealthCheck(probe), report=reports)):
            result = (await reports.count(1))[0]
        assert not result.ok
        assert result.detail

    asyncio.run(run())


def test_a_log_probe_is_fed_and_polls_nothing() -> None:
    """One report that it waits, one that it found it; feeding it afterwards is free."""

    async def run() -> None:
        reports = Reports()
        prober = Prober(HealthCheck(LogProbe("listening on .*:80"), interval=0.01), report=reports)
        async with running(prober):
            assert (await reports.count(1))[0].detail == "no line matches 'listening on .*:80' yet"
            prober.feed(b"starting\nlisten", "stdout")
            prober.feed(b"ing on *:80\n", "stdout")
            assert (await reports.ok())[-1].detail == "'listening on .*:80' was written"
            prober.feed(b"listening on *:80\n", "stdout")
            await asyncio.sleep(0.05)  # five intervals: a prober that polled would have reported
            assert len(reports.results) == 2

    asyncio.run(run())


def test_output_before_the_prober_runs_counts() -> None:
    """The engine may hand over the first block before the task had its first turn."""

    async def run() -> None:
        reports = Reports()
        prober = Prober(HealthCheck(LogProbe("ready")), report=reports)
        prober.feed(b"ready\n")
        async with running(prober):
            assert (await reports.count(1))[0].ok

    asyncio.run(run())


def test_a_prompt_is_found_after_a_silence() -> None:
    """An unfinished line that nobody continues is looked at."""

    async def run() -> None:
        reports = Reports()
        prober = Prober(HealthCheck(LogProbe(r"^ready> $")), report=reports)
        async with running(prober):
            prober.feed(b"ready> ")
            await reports.ok()

    asyncio.run(run())


def test_a_notify_probe_passes_with_its_message() -> None:
    """STATUS= changes the detail before, READY=1 makes it ready."""

    async def run() -> None:
        reports = Reports()
        prober = Prober(HealthCheck(NotifyProbe()), report=reports)
        async with running(prober):
            assert (await reports.count(1))[0].detail == "waiting for READY=1"
            prober.notify(b"STATUS=Loading")
            assert not (await reports.count(2))[1].ok
            prober.notify(b"READY=1\nSTATUS=Serving")
            assert (await reports.ok())[-1].detail == "READY=1 received, status: Serving"

    asyncio.run(run())


def test_a_flood_of_status_is_not_a_flood_of_reports() -> None:
    """Only the latest of many is reported."""

    async def run() -> None:
        reports = Reports()
        prober = Prober(HealthCheck(NotifyProbe()), report=reports)
        async with running(prober):
            await reports.count(1)
            for number in range(1000):
                prober.notify(b"STATUS=%d" % number)
            results = await reports.count(2)
            assert results[1].detail.endswith("status: 999")

    asyncio.run(run())


@pytest.mark.parametrize("probe", [LogProbe("ready"), NotifyProbe()])
def test_probes_that_are_told_cannot_be_asked(probe: LogProbe | NotifyProbe) -> None:
    """For `reuse` and `doctor` the answer is no, with the reason."""
    result = asyncio.run(probe_once(probe, 1.0))
    assert not result.ok
    assert probe.kind in result.detail

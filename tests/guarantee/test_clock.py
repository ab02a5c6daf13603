"""A wall clock that is set while a stack runs.

A test must not set the machine's clock. A small library, loaded before the C library, shifts what devctl's processes see by a
number of seconds that the test writes to a file; monotonic time goes on as it does when somebody sets the time. Needs a C compiler.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.guarantee.cast import ADVERSARIES, Adversary
from tests.guarantee.conftest import MakeDevctl
from tests.guarantee.detector import Wanted, scan
from tests.guarantee.harness import Devctl

COMPILER = shutil.which("cc") or shutil.which("gcc")
pytestmark = pytest.mark.skipif(COMPILER is None or sys.platform != "linux", reason="needs a C compiler")
HOUR, DAY = 3600, 86400


class Clock:
    """The clock that devctl sees."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.set(0)

    def set(self, seconds: int) -> None:
        """Jumps: `seconds` away from the true time. A rename, so that no reader meets half a number."""
        new = self.file.with_suffix(".new")
        new.write_text(str(seconds))
        new.replace(self.file)


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clock") / "clock.so"
    assert COMPILER is not None
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-o", path, Path(__file__).with_name("clock.c"), "-ldl"], check=True)
    return path


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def devctl(make_devctl: MakeDevctl, library: Path, clock: Clock) -> Devctl:
    return make_devctl(environ={"LD_PRELOAD": str(library), "CLOCK_FILE": str(clock.file)})


def test_the_clock_is_seen(clock: Clock, library: Path) -> None:
    """The library does what it says: Python's time.time() jumps, time.monotonic() does not."""
    program = "import time; print(time.time(), time.monotonic())"
    environ = {"LD_PRELOAD": str(library), "CLOCK_FILE": str(clock.file)}
    before = subprocess.check_output([sys.executable, "-c", program], env=environ, text=True).split()
    clock.set(DAY)
    after = subprocess.check_output([sys.executable, "-c", program], env=environ, text=True).split()
    assert float(after[0]) - float(before[0]) >= DAY
    assert float(after[1]) - float(before[1]) < HOUR


@pytest.mark.parametrize("jump", [-DAY, -HOUR, HOUR, 30 * DAY])
def test_down_after_a_jump(devctl: Devctl, clock: Clock, jump: int) -> None:
    """`down` after a jump gives the grace period, no more and no less, and leaves nothing."""
    devctl.write(devctl.cast(Adversary("obedient"), ADVERSARIES["forgetful_daemon"], ADVERSARIES["ignores_signals"]))
    devctl.up()
    clock.set(jump)
    assert devctl.status()["state"] == "ready"
    devctl.run("down")
    assert not devctl.survivors()
    devctl.await_nothing()


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_reap_after_a_jump(devctl: Devctl, clock: Clock, jump: int) -> None:
    """What a crashed run left is known by ticks since boot, which no clock setting moves."""
    devctl.write(devctl.cast(Adversary("obedient"), ADVERSARIES["forgetful_daemon"]))
    devctl.up()
    devctl.kill("supervisor", "guard", "sweeper")
    clock.set(jump)
    devctl.run("down")
    assert not devctl.survivors()


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_health_and_restart_after_a_jump(devctl: Devctl, clock: Clock, jump: int) -> None:
    """Probing, readiness and backoff go on after a jump: a service that is killed comes back and becomes ready."""
    services = devctl.cast(Adversary("obedient"), restart="always", healthcheck={"exec": ["true"], "interval": "100ms"})
    devctl.write(services)
    devctl.up()
    clock.set(jump)
    stage = devctl.stages["obedient"]
    (first,) = scan(Wanted((stage.marker,)))
    devctl.run("restart", "obedient")
    stage.await_in_position()
    devctl.run("wait", "--timeout", "20s")
    (second,) = scan(Wanted((stage.marker,)))
    assert second.pid != first.pid
    devctl.run("down")


def test_log_times_never_go_back(devctl: Devctl, clock: Clock) -> None:
    """Lines written after the clock was set back do not have earlier times: readers seek by them."""
    go = devctl.place / "go"
    program = f"echo first; until [ -e {go} ]; do sleep 0.02; done; echo second; sleep 100"
    devctl.write({"speaker": {"command": ["/bin/sh", "-c", program], "healthcheck": {"log": "first"}}})
    devctl.run("up", "-d")
    clock.set(-DAY)
    go.touch()
    log = devctl.project / "logs" / "speaker.log"
    for _ in range(600):
        if "second" in log.read_text():
            break
        time.sleep(0.05)
    times = [line.split()[0] for line in log.read_text().splitlines()]
    assert len(times) == 2
    assert times == sorted(times)
    devctl.run("down")

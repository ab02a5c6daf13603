"""Commands that cross each other, and deaths at a bad moment."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import time
from typing import Any

import pytest

from tests.guarantee.cast import ADVERSARIES, Adversary
from tests.guarantee.conftest import MakeDevctl
from tests.guarantee.detector import Wanted, scan
from tests.guarantee.harness import AS_IS, NO_CGROUP, Devctl
from tests.guarantee.stagehand import HANG_GUARD
from tests.guarantee.terminal import Terminal

OBEDIENT = Adversary("obedient")
DEAF = ADVERSARIES["ignores_signals"]
DAEMON = ADVERSARIES["forgetful_daemon"]
NEVER_READY = {"exec": ["false"], "start_period": "60s"}


def finish(process: subprocess.Popen[Any]) -> tuple[int, str]:
    """Waits for a command; its exit status and what it said."""
    out, err = process.communicate(timeout=HANG_GUARD)
    assert "Traceback" not in err, err
    return process.returncode, out + err


def test_up_twice_at_once(devctl: Devctl) -> None:
    """Two `up` race for one stack: one supervisor runs it, each service once, and at least one command succeeds."""
    devctl.write(devctl.cast(OBEDIENT, DEAF))
    answers = [finish(process) for process in [devctl.popen("up", "-d") for _ in range(2)]]
    assert 0 in [status for status, _ in answers], answers
    devctl.note_trio()
    for stage in devctl.stages.values():
        assert len(scan(Wanted((stage.marker,)))) == 1
    devctl.run("down")
    assert not devctl.survivors()


def test_five_ups_at_once(devctl: Devctl) -> None:
    """More of them change nothing: every service has one instance."""
    devctl.write(devctl.cast(OBEDIENT))
    answers = [finish(process) for process in [devctl.popen("up", "-d") for _ in range(5)]]
    assert 0 in [status for status, _ in answers], answers
    assert len(scan(Wanted(devctl.markers))) == 1
    devctl.run("down")
    devctl.await_nothing()


def test_down_during_up(devctl: Devctl) -> None:
    """`down` while `up` still waits for readiness ends both, and `up` does not report success."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON, healthcheck=NEVER_READY))
    up = devctl.popen("up", "-d")
    devctl.await_in_position()
    devctl.run("down")
    status, said = finish(up)
    assert status == 1, said
    assert not devctl.survivors()
    devctl.await_nothing()


@pytest.mark.parametrize("moment", range(6))
def test_down_at_any_moment_of_up(devctl: Devctl, moment: int) -> None:
    """`down` started a random moment after `up`: both end, and a `down` after that leaves nothing."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    up = devctl.popen("up", "-d")
    time.sleep(random.uniform(0, 0.5))
    devctl.run("down")
    finish(up)
    devctl.run("down")
    assert not devctl.survivors()
    devctl.await_nothing()


def test_down_twice_at_once(devctl: Devctl) -> None:
    """Two `down` at once both succeed and both return when nothing is left."""
    devctl.write(devctl.cast(OBEDIENT, DEAF, DAEMON))
    devctl.up()
    for status, said in [finish(process) for process in [devctl.popen("down") for _ in range(2)]]:
        assert status == 0, said
    assert not devctl.survivors()
    devctl.await_nothing()


def test_down_on_nothing(devctl: Devctl) -> None:
    """`down` is idempotent."""
    devctl.write(devctl.cast(OBEDIENT))
    devctl.run("down")
    devctl.up()
    devctl.run("down")
    devctl.run("down")


def test_restart_during_start(devctl: Devctl) -> None:
    """A restart of a service that is still starting replaces it: never two live instances."""
    devctl.write(devctl.cast(OBEDIENT, DEAF, healthcheck=NEVER_READY))
    devctl.up()
    devctl.run("restart", "ignores_signals")
    devctl.stages["ignores_signals"].await_in_position()
    assert len(scan(Wanted((devctl.stages["ignores_signals"].marker,)))) == 1
    devctl.run("down")
    assert not devctl.survivors()


def test_restarts_at_once(devctl: Devctl) -> None:
    """Three restarts of one service at once leave one instance."""
    devctl.write(devctl.cast(DAEMON))
    devctl.up()
    for status, said in [finish(process) for process in [devctl.popen("restart", "forgetful_daemon") for _ in range(3)]]:
        assert status == 0, said
    stage = devctl.stages["forgetful_daemon"]
    stage.await_in_position()
    devctl.run("wait", "--timeout", "20s")
    leaders = [found for found in scan(Wanted((stage.marker,))) if not found.command.endswith("forgotten")]
    assert len(leaders) == 1
    devctl.run("down")
    assert not devctl.survivors()


def test_restart_takes_the_old_tree_along(devctl: Devctl) -> None:
    """After a restart no process of the old instance is alive, the daemon it left included."""
    devctl.write(devctl.cast(DAEMON))
    devctl.up()
    stage = devctl.stages["forgetful_daemon"]
    old = {found.pid for found in scan(Wanted((stage.marker,)))}
    devctl.run("restart", "forgetful_daemon")
    stage.await_in_position()
    assert not old & {found.pid for found in scan(Wanted((stage.marker,)))}
    devctl.run("down")


def test_stop_takes_the_tree_along(devctl: Devctl) -> None:
    """`stop` of one service ends its daemon and nobody else's."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON, DEAF))
    devctl.up()
    devctl.run("stop", "forgetful_daemon")
    assert scan(Wanted((devctl.stages["forgetful_daemon"].marker,))) == []
    for name in ("obedient", "ignores_signals"):
        assert len(scan(Wanted((devctl.stages[name].marker,)))) == 1
    devctl.run("down")
    assert not devctl.survivors()


@pytest.mark.parametrize("mode", [AS_IS, NO_CGROUP], ids=lambda mode: mode.name)
@pytest.mark.parametrize(
    "moment", [pytest.param(number, marks=() if number % 3 == 0 else pytest.mark.thorough) for number in range(10)]
)
def test_killed_in_the_first_50_ms(make_devctl: MakeDevctl, mode: Any, moment: int) -> None:
    """One of devctl's processes is killed at a random moment just after the first of them appeared; `down` then leaves nothing."""
    devctl = make_devctl(mode)
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    up = devctl.popen("up", "-d")
    own = Wanted(runtime=str(devctl.runtime))
    while not (hits := [found for found in scan(own) if found.pid != up.pid]) and up.poll() is None:
        pass
    time.sleep(random.uniform(0, 0.05))
    hits = scan(own) or hits
    victim = random.choice([found for found in hits if not any(marker in found.command for marker in devctl.markers)])
    with contextlib.suppress(ProcessLookupError):  # it may have ended by itself in between
        os.kill(victim.pid, signal.SIGKILL)
    finish(up)
    devctl.run("down")
    left = devctl.survivors()
    assert not left, f"killed {victim}; left {left}"
    devctl.await_nothing()


@pytest.mark.parametrize("moment", range(4))
def test_everything_killed_during_a_start(devctl: Devctl, moment: int) -> None:
    """All of devctl at once, at a random moment of a start: the next `up` reaps and runs, the `down` after it leaves nothing."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    up = devctl.popen("up", "-d")
    time.sleep(random.uniform(0.05, 0.4))
    for found in scan(Wanted(runtime=str(devctl.runtime))):
        if not any(marker in found.command for marker in devctl.markers):
            with contextlib.suppress(ProcessLookupError):
                os.kill(found.pid, signal.SIGKILL)
    finish(up)
    devctl.run("up", "-d")
    assert len(scan(Wanted((devctl.stages["obedient"].marker,)))) == 1
    devctl.run("down")
    assert not devctl.survivors()


def test_crash_then_up_reaps(devctl: Devctl) -> None:
    """After a kill of everything `up` ends what was left before it starts its own."""
    devctl.write(devctl.cast(DAEMON, DEAF))
    devctl.up()
    old = {found.pid for found in scan(Wanted(devctl.markers))}
    devctl.kill("supervisor", "guard", "sweeper")
    devctl.up()
    assert not old & {found.pid for found in scan(Wanted(devctl.markers))}
    devctl.run("down")
    assert not devctl.survivors()


def test_crash_then_reap(devctl: Devctl) -> None:
    """After a kill of everything `reap` ends what was left."""
    devctl.write(devctl.cast(DAEMON, DEAF))
    devctl.up()
    devctl.kill("supervisor", "guard", "sweeper")
    devctl.run("reap")
    assert not devctl.survivors()


def test_second_ctrl_c_kills(devctl: Devctl) -> None:
    """With a grace period of ten minutes the second Ctrl-C ends all at once."""
    services = devctl.cast(OBEDIENT, DEAF)
    devctl.write({name: {**service, "stop_grace_period": "10m"} for name, service in services.items()})
    terminal = Terminal(devctl, "up", "--no-ui")
    try:
        devctl.await_in_position()
        obedient = scan(Wanted((devctl.stages["obedient"].marker,)))
        terminal.press("\x03")
        while any(os.path.exists(f"/proc/{found.pid}") for found in obedient):
            time.sleep(0.01)  # the graceful stop is under way when the obedient one has gone
        assert scan(Wanted((devctl.stages["ignores_signals"].marker,)))
        terminal.press("\x03")
        assert terminal.await_exit() == 130, terminal.text
        assert not devctl.survivors()
    finally:
        terminal.close()
    devctl.await_nothing()


def test_second_ctrl_c_kills_a_start(devctl: Devctl) -> None:
    """While `up -d` still waits: the first Ctrl-C stops what was started, the second ends it all at once."""
    services = devctl.cast(OBEDIENT, DEAF)
    never = {"exec": "false", "start_period": "10m"}
    devctl.write({name: {**service, "stop_grace_period": "10m", "healthcheck": never} for name, service in services.items()})
    terminal = Terminal(devctl, "up", "-d")
    try:
        devctl.await_in_position()
        terminal.press("\x03")
        obedient = Wanted((devctl.stages["obedient"].marker,))
        while scan(obedient):
            time.sleep(0.01)  # the graceful stop is under way when the obedient one has gone
        assert scan(Wanted((devctl.stages["ignores_signals"].marker,)))
        terminal.press("\x03")
        assert terminal.await_exit() == 130, terminal.text
        assert not devctl.survivors()
    finally:
        terminal.close()
    devctl.await_nothing()


def test_status_after_everything_is_gone(devctl: Devctl) -> None:
    """After `down` there is no stack: exit status 3."""
    devctl.write(devctl.cast(OBEDIENT))
    devctl.up()
    devctl.run("down")
    devctl.run("status", status=3)


def test_status_as_soon_as_a_service_runs(devctl: Devctl) -> None:
    """A stack whose first service is already in position is running: `status` says so, it does not exit 3."""
    devctl.write(devctl.cast(OBEDIENT))
    up = devctl.popen("up", "-d")
    devctl.await_in_position()
    devctl.run("status")
    finish(up)
    devctl.run("down")


def test_receipt_counts(devctl: Devctl) -> None:
    """The receipt of `down --json` names no survivors and counts the services."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON, DEAF))
    devctl.up()
    said = json.loads(devctl.run("down", "--json").stdout)
    assert said["clean"]
    assert said["survivors"] == []
    assert said["receipt"]["services"] == 3
    assert said["receipt"]["processes"] >= 4

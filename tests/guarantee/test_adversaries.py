"""The adversaries and the detector themselves: a guarantee is worth no more than the sins it was tried on."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guarantee.cast import ADVERSARIES, Adversary
from tests.guarantee.detector import Wanted, await_nobody, exterminate, living, scan, stat_fields
from tests.guarantee.stagehand import HANG_GUARD, Stage


@pytest.fixture(params=ADVERSARIES.values(), ids=list(ADVERSARIES))
def adversary(request: pytest.FixtureRequest) -> Adversary:
    chosen: Adversary = request.param
    if not chosen.possible:
        pytest.skip("namespaces are not permitted here")
    return chosen


def only(name: str) -> pytest.MarkDecorator:
    """The one adversary that a test is about."""
    return pytest.mark.parametrize("adversary", [ADVERSARIES[name]], ids=[name], indirect=True)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path / "stage")
    yield stage
    stage.stop()
    assert exterminate(Wanted((stage.marker,))) == []
    stage.close()


@pytest.fixture
def played(adversary: Adversary, stage: Stage) -> Iterator[subprocess.Popen[bytes]]:
    """The adversary, in position."""
    process = subprocess.Popen(adversary.argv(sys.executable, stage.marker, stage.path), start_new_session=True)
    stage.await_in_position()
    yield process
    process.kill()
    process.wait()


def test_outlives_its_leader(adversary: Adversary, stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """Every adversary but the one that only ignores signals leaves somebody behind when its leader is killed."""
    if adversary.name in ("ignores_signals", "leader_thread_exited"):
        pytest.skip("its sin is another")
    played.kill()
    played.wait()
    assert living(Wanted((stage.marker,)), [stage.pulse])


def test_can_be_cleaned_up(stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """The tests' own cleaning up gets rid of each, and the detector then finds nobody and no pulse."""
    assert exterminate(Wanted((stage.marker,))) == []
    assert await_nobody(Wanted((stage.marker,)), [stage.pulse], timeout=HANG_GUARD) == []


def test_leaves_when_told(adversary: Adversary, stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """The stop file ends those that run: the net below the net."""
    if adversary.name in ("job_control", "stopped_child", "stopped_leader"):
        pytest.skip("a stopped process and a plain sleep look at no file")
    stage.stop()
    assert await_nobody(Wanted((stage.marker,)), [stage.pulse], timeout=HANG_GUARD) == []


@only("leader_thread_exited")
def test_a_zombie_with_threads_is_found(stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """A thread-group leader that has exited is in state Z, and still counts as alive."""
    assert stat_fields(played.pid)[0] == b"Z"
    assert [found.pid for found in scan(Wanted((stage.marker,)))] == [played.pid]


@only("forgetful_daemon")
def test_the_forgetful_daemon_has_forgotten(stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """It has no environment, no descriptors, another session and another parent."""
    (daemon,) = [found.pid for found in scan(Wanted((stage.marker,))) if found.command.endswith("forgotten")]
    assert Path(f"/proc/{daemon}/environ").read_bytes() == b""
    for _ in range(500):  # the descriptor by which it gave its word is closed a moment later
        if not (descriptors := os.listdir(f"/proc/{daemon}/fd")):
            break
        time.sleep(0.01)
    assert descriptors == []
    assert os.getsid(daemon) != os.getsid(played.pid)
    assert int(stat_fields(daemon)[1]) != played.pid


@only("washes_its_dye")
def test_the_dye_is_washed_off(stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """The daemon's limit is lower than any dye."""
    (daemon,) = [found.pid for found in scan(Wanted((stage.marker,))) if found.command.endswith("washed")]
    assert resource.prlimit(daemon, resource.RLIMIT_RTTIME)[1] == 1 << 40


@pytest.mark.parametrize(
    "adversary", [ADVERSARIES["fork_tree_while_stopping"]], ids=lambda adversary: adversary.name, indirect=True
)
def test_the_tree_grows_to_150(stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """After a TERM to the leader there are more than 150 processes."""
    played.terminate()
    played.wait()
    for _ in range(2000):
        if len(scan(Wanted((stage.marker,)))) > 150:
            return
    pytest.fail(f"only {len(scan(Wanted((stage.marker,))))}")


@only("mutual_respawn")
def test_the_pair_respawns(stage: Stage, played: subprocess.Popen[bytes]) -> None:
    """Killing one of the pair brings another pid."""
    wanted = Wanted((stage.marker,))
    pair = {found.pid for found in scan(wanted)} - {played.pid}
    assert len(pair) == 2
    os.kill(min(pair), 9)
    for _ in range(2000):
        if len(now := {found.pid for found in scan(wanted) if found.state != "Z"} - {played.pid}) == 2 and now != pair:
            return
    pytest.fail("no new partner")

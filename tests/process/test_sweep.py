"""The sweep, for what an ancestor can no longer reach: it kills what is marked, and nothing else."""

from __future__ import annotations

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devctl.process import dye, reap, system
from devctl.process.record import Record
from tests.process.test_record import RECORD

SOON = 20.0  # seconds a sweep may take before it gives up
Sleeper = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def sleeper() -> Iterator[Sleeper]:
    """Starts a process with this environment in a session of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def start(**environment: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen(["sleep", "300"], env={"PATH": os.environ["PATH"], **environment}, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


@pytest.fixture
def run_id() -> str:
    return f"{uuid.uuid4().hex[:16]}-1"


@pytest.fixture
def record(tmp_path: Path, run_id: str) -> Record:
    """Of a crashed run that left no dyed process; its number is nobody else's."""
    leaders = tmp_path / "leaders"
    leaders.touch()
    run = dye.new_run_number(run_id)
    return replace(RECORD, run=run, run_id=run_id, boot_id=system.boot_id(), leaders=str(leaders))


def deadline() -> float:
    return time.monotonic() + SOON


def test_only_the_marked_are_ended(sleeper: Sleeper, run_id: str) -> None:
    """Those with this run's cookie go; those with another's, a longer one, or none stay."""
    marked = [sleeper(DEVCTL_RUN_ID=run_id) for _ in range(3)]
    others = [sleeper(), sleeper(DEVCTL_RUN_ID=run_id + "0"), sleeper(OTHER=f"DEVCTL_RUN_ID={run_id}")]
    found = reap.sweep(dye.carries(dye.new_run_number(run_id), run_id), deadline())
    assert sorted(pid for pid, _ in found.killed) == sorted(process.pid for process in marked)
    assert [process.wait() for process in marked] == [-9] * 3
    assert [process.poll() for process in others] == [None] * 3
    assert found.survivors == ()


def test_nothing_to_do(run_id: str) -> None:
    """An empty sweep says so."""
    assert reap.sweep(dye.carries(dye.new_run_number(run_id), run_id), deadline()) == reap.Reaped()


def test_never_ourselves() -> None:
    """Even when everything matches by mistake, a sweep spares itself and its parent."""
    own = {os.getpid(), os.getppid()}
    assert reap.sweep(lambda pid: pid in own, deadline(), scans=1) == reap.Reaped()


def test_a_sweep_ends_in_time() -> None:
    """A deadline that has passed: nothing is looked at."""
    assert reap.sweep(lambda pid: pytest.fail("looked"), time.monotonic() - 1) == reap.Reaped()


def test_a_crashed_run_is_reaped(sleeper: Sleeper, record: Record) -> None:
    """By cookie, and by what was recorded."""
    marked, listed, bystander = sleeper(DEVCTL_RUN_ID=record.run_id), sleeper(), sleeper()
    Path(record.leaders).write_text(f"{listed.pid} {system.start_time(listed.pid)}\n")
    found = reap.reap_run(record, deadline())
    assert {pid for pid, _ in found.killed} == {marked.pid, listed.pid}
    assert {command for _, command in found.killed} == {"sleep 300"}
    assert bystander.poll() is None


def test_a_recycled_pid_is_left_alone(sleeper: Sleeper, record: Record) -> None:
    """The pid is on record, its start time is not: somebody else has it now."""
    stranger = sleeper()
    started = system.start_time(stranger.pid)
    assert started is not None
    Path(record.leaders).write_text(f"{stranger.pid} {started - 1}\n")
    assert reap.reap_run(record, deadline()) == reap.Reaped()
    assert stranger.poll() is None


def test_another_boot_names_nobody(sleeper: Sleeper, record: Record) -> None:
    """After a reboot, neither pids nor marks mean anything."""
    marked = sleeper(DEVCTL_RUN_ID=record.run_id)
    assert reap.reap_run(replace(record, boot_id="another"), deadline()) == reap.Reaped()
    assert marked.poll() is None

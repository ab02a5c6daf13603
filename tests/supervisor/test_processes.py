"""The processes of a tree, on real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from devctl.process import system
from devctl.supervisor.processes import LIMIT, ProcessTable

PARENT = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'input()']); print(p.pid, flush=True); p.wait()"


@pytest.fixture
def family() -> Iterator[tuple[int, int]]:
    """A process and its child, which end when their input does."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        yield parent.pid, int(parent.stdout.readline())
        parent.communicate("\n")


def test_a_tree_is_told_process_by_process(family: tuple[int, int]) -> None:
    """Each with its parent, command, state and memory; the leader is the main one."""
    leader, child = family
    tree = ProcessTable().tree(system.descendants([leader]), leader)
    assert [(one.pid, one.ppid, one.kind) for one in tree.processes] == [
        (leader, os.getpid(), "main"),
        (child, leader, "child"),
    ]
    assert tree.total == 2
    assert "input()" in tree.processes[1].command
    assert all(one.memory_bytes > 0 and one.started_at is not None for one in tree.processes)
    assert tree.processes[1].state in ("sleeping", "running", "blocked")


def test_a_root_that_is_no_leader_was_adopted(family: tuple[int, int]) -> None:
    """Once the leader has ended, what is left was caught."""
    _, child = family
    assert [one.kind for one in ProcessTable().tree([child], None).processes] == ["adopted"]


def test_what_is_gone_is_left_out(family: tuple[int, int]) -> None:
    """A process that ended since the tree was read is no error."""
    leader, _ = family
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    tree = ProcessTable().tree([leader, gone.pid], leader)
    assert [one.pid for one in tree.processes] == [leader]


def test_a_bomb_is_bounded() -> None:
    """Of more processes than anybody reads the first ones are told, and how many there are."""
    tree = ProcessTable().tree([os.getpid()] * (LIMIT + 50), None)
    assert (len(tree.processes), tree.total) == (LIMIT, LIMIT + 50)


def test_busy_is_told_from_idle(family: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """The percentage is of the time since the last look, and repeated when that was just now."""
    leader, _ = family
    stat = system.read_stat(leader)
    assert stat is not None
    table = ProcessTable()

    def look(now: float, used: float) -> float:
        monkeypatch.setattr("devctl.supervisor.processes.time.monotonic", lambda: now)
        monkeypatch.setattr(system, "read_stat", lambda pid: replace(stat, cpu_seconds=used))
        return table.tree([leader], leader).processes[0].cpu_percent

    first = look(1000.0, 5.0)
    assert look(1000.1, 5.2) == first
    assert look(1002.0, 6.0) == 50.0

"""Facts from /proc, read from real processes with awkward names."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from devctl.process import system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")

RENAME = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(15, os.fsencode(sys.argv[1]), 0, 0, 0)  # PR_SET_NAME
print(flush=True)
sys.stdin.read()
"""
Named = Callable[[str], int]


@pytest.fixture
def named() -> Iterator[Named]:
    """Starts a process that calls itself so; returns its pid."""
    started: list[subprocess.Popen[bytes]] = []

    def start(name: str) -> int:
        process = subprocess.Popen([sys.executable, "-c", RENAME, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    yield start
    for process in started:
        process.communicate()


@contextmanager
def running(*argv: str, env: dict[str, str] | None = None) -> Iterator[int]:
    """A `cat` that has answered: Popen returns within the exec, a moment before arguments and environment are in place."""
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=env, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdout.read(1)
        yield process.pid
        process.communicate()


@pytest.mark.parametrize("name", ["a b c", "x) S 1 (y", "((", "))", "a\nb", ") R 1 2 3", " ", "", "\udcff"])
def test_names_do_not_confuse(named: Named, name: str) -> None:
    """Spaces, parentheses, newlines, and what is no UTF-8: the fields behind the name are right all the same."""
    pid = named(name)
    stat = system.read_stat(pid)
    assert stat is not None
    assert (stat.pid, stat.ppid, stat.pgrp, stat.session) == (pid, os.getpid(), os.getpgid(0), os.getsid(0))
    assert stat.name == name.replace("\udcff", "\ufffd")
    assert stat.state in "SR"


def test_start_times_grow(named: Named) -> None:
    """A later process has a later start, and it stays what it is."""
    first, second = named("first"), named("second")
    one, two = system.start_time(first), system.start_time(second)
    assert one is not None
    assert two is not None
    assert one <= two
    assert system.start_time(first) == one


def test_nobody() -> None:
    """A pid that does not exist has no facts."""
    nobody = 2**22 + 1  # above PID_MAX_LIMIT
    assert system.read_stat(nobody) is None
    assert system.start_time(nobody) is None
    assert system.started_at(nobody) is None
    assert system.children(nobody) == []
    assert system.environment_value(nobody, "PATH") is None
    assert system.command_line(nobody) == "[gone]"
    assert not system.signal_process(nobody, 0, 1)


def test_a_zombie_is_dead() -> None:
    """Ended, and not waited for yet."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    stat = system.read_stat(process.pid)
    assert stat is not None
    assert system.is_dead(stat)
    assert system.command_line(process.pid) == "[true]"
    process.wait()


def test_another_process_under_the_same_pid(named: Named) -> None:
    """A signal meant for who started earlier is not sent to whoever has the pid now."""
    pid = named("innocent")
    started = system.start_time(pid)
    assert started is not None
    assert not system.signal_process(pid, 9, started - 1)
    assert system.signal_process(pid, 0, started)


def test_children_and_descendants(named: Named) -> None:
    """Ours are listed; parents come before children."""
    pids = [named("a"), named("b")]
    assert set(pids) <= set(system.children(os.getpid()))
    family = system.descendants([os.getpid()])
    assert family[0] == os.getpid()
    assert set(pids) <= set(family)


def test_environment() -> None:
    """By whole names, and with values that hold an equals sign."""
    with running("cat", env={"AB": "x=y", "A": "1", "E": ""}) as pid:
        values = [system.environment_value(pid, name) for name in ("A", "AB", "E", "B")]
    assert values == ["1", "x=y", "", None]


def test_long_commands_are_cut() -> None:
    """For people, not for the whole argument list."""
    with running("cat", "-", "x" * 500) as pid:
        text = system.command_line(pid, 20)
    assert text == "cat - " + "x" * 13 + "…"

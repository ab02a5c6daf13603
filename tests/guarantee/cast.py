"""The adversaries as the tests know them: which program, what it needs, which endings even devctl's design cannot promise."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAMS = Path(__file__).parents[1] / "adversaries"


@dataclass(frozen=True)
class Adversary:
    """One program of tests/adversaries.

    Attributes:
        name: the program's name without its suffix.
        costly: it burns a core or makes many processes; repeated less often.
        leaves: its first process goes by itself, so that the service does not become ready.
        namespaces: flags for unshare(2) that it needs.
        beyond: endings in which nothing without an ancestor or a cgroup can find it (docs/guarantee.md, "Where it ends").
    """

    name: str
    costly: bool = False
    leaves: bool = False
    namespaces: int = 0
    beyond: frozenset[str] = frozenset()

    @property
    def program(self) -> Path:
        return next(PROGRAMS.glob(f"{self.name}.*"))

    def argv(self, python: str, marker: str, stage: Path) -> list[str]:
        """How to run it. Python starts without site-packages: it takes 10 ms then."""
        program = self.program
        head = [shutil.which("bash") or "bash"] if program.suffix == ".sh" else [python, "-S", "-E"]
        return [*head, str(program), marker, str(stage)]

    @property
    def possible(self) -> bool:
        return not self.namespaces or may_unshare(self.namespaces)


CLONE_NEWUSER, CLONE_NEWPID = 0x10000000, 0x20000000

WITHOUT_ANCESTORS = frozenset({"kill_supervisor_and_guard", "kill_guard_and_supervisor", "kill_all_then_down"})

ADVERSARIES = {
    adversary.name: adversary
    for adversary in (
        Adversary("ignores_signals"),
        Adversary("leader_obeys_child_ignores"),
        Adversary("new_session_child"),
        Adversary("forgetful_daemon"),
        Adversary("leader_gone", leaves=True),
        Adversary("job_control"),
        Adversary("stopped_child"),
        Adversary("stopped_leader"),
        Adversary("leader_thread_exited"),
        Adversary("fork_tree_while_stopping", costly=True),
        Adversary("mutual_respawn"),
        Adversary("fork_exit_loop", costly=True, leaves=True),
        Adversary("nested_subreaper"),
        Adversary("user_namespace", namespaces=CLONE_NEWUSER),
        Adversary("pid_namespace", namespaces=CLONE_NEWUSER | CLONE_NEWPID),
        Adversary("washes_its_dye", beyond=WITHOUT_ANCESTORS),
    )
}


@cache
def may_unshare(flags: int) -> bool:
    """Whether this machine lets an ordinary process make such namespaces. Asked in a child, as it cannot be undone."""
    pid = os.fork()
    if pid == 0:
        os._exit(1 if ctypes.CDLL(None).unshare(flags) else 0)
    return os.waitpid(pid, 0)[1] == 0

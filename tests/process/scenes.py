"""Scenes that need a process of their own: a subreaper that reaps every child. `python -m tests.process.scenes SCENE RUN_ID`.

Prints one JSON object. The test's own process must never become a subreaper, take SIGCHLD, or change its limits.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from devctl.lifecycle.events import ExitStatus
from devctl.process import dye, reap, system
from devctl.process.roster import Roster
from devctl.process.spawn import Child, SpawnRequest

ADVERSARIES = Path(__file__).parent.parent / "adversaries"
RUN = 0xABCDEF << dye.STACK_SHIFT | 0x123 << dye.RANDOM_SHIFT
GUARD = 30.0  # seconds after which a scene that hangs is given up


class Troupe:
    """A roster, and actors that are spawned with it."""

    def __init__(self, run_id: str, *, dyed: bool) -> None:
        self.run_id = run_id
        self.directory = tempfile.mkdtemp(prefix="devctl-scene-")
        self.roster = Roster(RUN if dyed and dye.apply(RUN) else None, run_id, f"{self.directory}/leaders")
        self.exits: dict[int, asyncio.Future[ExitStatus]] = {}

    def spawn(self, *argv: str, index: int = 1, service: str = "web") -> Child:
        future: asyncio.Future[ExitStatus] = asyncio.get_running_loop().create_future()
        env = {**os.environ, "DEVCTL_RUN_ID": self.run_id, "DEVCTL_SERVICE": service}
        child = self.roster.spawn(SpawnRequest(argv, env, self.directory, index), future.set_result)
        self.exits[child.pid] = future
        return child

    def sh(self, script: str, **options: Any) -> Child:
        return self.spawn("/bin/sh", "-c", script, **options)

    async def adversary(self, name: str, **options: Any) -> Child:
        """Spawns one of tests/adversaries and waits until its sin is committed."""
        fifo = f"{self.directory}/ready"
        os.mkfifo(fifo)
        fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, ready.set)
        child = self.spawn(sys.executable, "-S", str(ADVERSARIES / f"{name}.py"), self.run_id, self.directory, **options)
        await ready.wait()
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        os.unlink(fifo)
        return child

    async def exit_of(self, child: Child) -> list[int | None]:
        status = await self.exits[child.pid]
        return [status.code, status.signal]

    async def line(self, child: Child) -> str:
        """The next block that it writes."""
        loop = asyncio.get_running_loop()
        there = asyncio.Event()
        loop.add_reader(child.stdout, there.set)
        await there.wait()
        loop.remove_reader(child.stdout)
        return os.read(child.stdout, 4096).decode().strip()

    async def stop(self, child: Child, grace: float = 20.0, *, force: bool = False) -> dict[str, Any]:
        forced = asyncio.Event()
        if force:
            asyncio.get_running_loop().call_later(0.05, forced.set)
        stopped = await self.roster.stop(child, signal.SIGTERM, grace, forced)
        return {"killed": stopped.killed, "processes": stopped.processes, "left": self.roster.members(child.index)}


def read(path: str) -> str:
    with open(path) as file:
        return file.read()


async def until(condition: Callable[[], bool]) -> None:
    """What a process does without telling can only be looked for."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


async def quick_exits(troupe: Troupe) -> dict[str, Any]:
    """200 children that end at once, each in its own way, while the loop has other things to do."""
    expected: list[list[int | None]] = []
    children = []
    for number in range(200):
        by_signal = number % 10 == 9
        children.append(troupe.sh("kill -KILL $$" if by_signal else f"exit {number}"))
        expected.append([None, 9] if by_signal else [number, None])
        if number % 7 == 0:
            await asyncio.sleep(0)
    return {"right": [await troupe.exit_of(child) for child in children] == expected}


async def leaders_are_listed(troupe: Troupe) -> dict[str, Any]:
    children = [troupe.sh("exit 0") for _ in range(3)]
    for child in children:
        await troupe.exit_of(child)
    listed = [[int(word) for word in line.split()] for line in read(f"{troupe.directory}/leaders").splitlines()]
    return {"right": listed == [[child.pid, child.start_time] for child in children]}


async def stray(troupe: Troupe) -> dict[str, Any]:
    """A daemon that cleared its environment is told by its dye, and ended with its service."""
    other = troupe.sh("echo up; exec sleep 100", index=5, service="other")
    await troupe.line(other)
    child = await troupe.adversary("forgetful_daemon", index=3)
    os.kill(child.pid, signal.SIGKILL)
    await troupe.exit_of(child)
    members = troupe.roster.members(3)
    ended = await troupe.stop(child, 0.1)
    return {"strays": len(members), **ended, "empty": troupe.roster.is_empty(3), "other": troupe.roster.members(5) == [other.pid]}


async def stray_by_cookie(troupe: Troupe) -> dict[str, Any]:
    """Without a dye, the environment of a daemon tells whose it is."""
    troupe.roster.name("web", 3)
    child = troupe.sh("setsid sleep 100 &", index=3)
    await troupe.exit_of(child)
    await until(lambda: [system.command_line(pid) for pid in troupe.roster.members(3)] == ["sleep 100"])
    return await troupe.stop(child, 0.1)


async def leader_thread_exited(troupe: Troupe) -> dict[str, Any]:
    """A leader that looks like a zombie and runs on in another thread is ended."""
    child = await troupe.adversary("leader_thread_exited")
    stat = system.read_stat(child.pid)
    ended = await troupe.stop(child, 0.1)
    return {"looked": stat.state if stat else None, **ended, "exit": await troupe.exit_of(child)}


async def stopped(troupe: Troupe) -> dict[str, Any]:
    """A stopped process gets its TERM, because it is continued."""
    child = troupe.sh("trap 'exit 7' TERM; echo up; kill -STOP $$; sleep 100 & wait")
    await troupe.line(child)
    await until(lambda: (stat := system.read_stat(child.pid)) is not None and stat.state == "T")
    ended = await troupe.stop(child)
    return {**ended, "exit": await troupe.exit_of(child)}


async def obedient(troupe: Troupe) -> dict[str, Any]:
    child = troupe.sh("trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done")
    await troupe.line(child)
    ended = await troupe.stop(child)
    return {**ended, "exit": await troupe.exit_of(child)}


async def group_outlives_leader(troupe: Troupe) -> dict[str, Any]:
    """The leader obeys; what it started does not, and is killed after the grace period."""
    child = await troupe.adversary("leader_obeys_child_ignores")
    ended = await troupe.stop(child, 0.2)
    return {**ended, "exit": await troupe.exit_of(child)}


async def forced(troupe: Troupe) -> dict[str, Any]:
    """A grace period of an hour ends when somebody insists."""
    child = await troupe.adversary("ignores_signals")
    ended = await troupe.stop(child, 3600, force=True)
    return {**ended, "exit": await troupe.exit_of(child)}


async def one_of_two(troupe: Troupe) -> dict[str, Any]:
    """Killing one owner leaves the other alone; waiting for it ends with it."""
    one, two = (troupe.sh("echo up; sleep 100 & wait", index=index) for index in (1, 3))
    await troupe.line(one)
    await troupe.line(two)
    waiting = asyncio.create_task(troupe.roster.empty(1))
    await troupe.roster.kill(1)
    await waiting
    return {"one": troupe.roster.members(1), "two": troupe.roster.members(3)[:1] == [two.pid]}


async def dyed(troupe: Troupe) -> dict[str, Any]:
    """Each child carries its index, its children too, and we carry 0 again."""
    child = troupe.sh("sleep 100 & echo up; wait", index=9)
    await troupe.line(child)
    indices = [dye.index_of(pid, RUN) for pid in troupe.roster.members(9)]
    return {"indices": indices, "own": dye.index_of(os.getpid(), RUN), "other_run": dye.index_of(child.pid, RUN + 1)}


async def session(troupe: Troupe) -> dict[str, Any]:
    """A session of its own, nothing to read, and the first to go when memory runs out."""
    child = troupe.sh("cat; echo up; exec sleep 100")
    await troupe.line(child)
    stat = system.read_stat(child.pid)
    assert stat is not None
    return {"own_session": stat.session == stat.pgrp == child.pid, "oom": int(read(f"/proc/{child.pid}/oom_score_adj"))}


async def kill_children(troupe: Troupe) -> dict[str, Any]:
    """The kill loop: everything detached below us, until there is no child."""
    await troupe.line(troupe.sh("setsid sleep 100 & (setsid sleep 100 &) ; sleep 100 & echo up; wait"))
    troupe.roster.close()
    empty, refused, signalled = reap.kill_children(time.monotonic() + GUARD)
    return {"empty": empty, "refused": sorted(refused), "signalled": signalled, "children": system.children(os.getpid())}


async def spared(troupe: Troupe) -> dict[str, Any]:
    """One is left alone, and the loop still comes to an end."""
    keep = troupe.sh("exec sleep 100")
    troupe.sh("exec sleep 100")
    troupe.roster.close()
    empty, _, _ = reap.kill_children(time.monotonic() + GUARD, spare=lambda pid: pid == keep.pid)
    return {"empty": empty, "kept": system.children(os.getpid()) == [keep.pid]}


UNDYED = {"stray_by_cookie"}
SCENES: dict[str, Callable[[Troupe], Awaitable[dict[str, Any]]]] = {
    scene.__name__: scene
    for scene in (
        quick_exits, leaders_are_listed, stray, stray_by_cookie, leader_thread_exited, stopped, obedient,
        group_outlives_leader, forced, one_of_two, dyed, session, kill_children, spared,
    )
}  # fmt: skip


def main(name: str, run_id: str) -> None:
    system.become_subreaper()

    async def play() -> dict[str, Any]:
        troupe = Troupe(run_id, dyed=name not in UNDYED)
        return await asyncio.wait_for(SCENES[name](troupe), GUARD)

    try:
        print(json.dumps(asyncio.run(play())))
    finally:
        reap.kill_children(time.monotonic() + GUARD)


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Runtime files that are old, broken or lie."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.guarantee.cast import ADVERSARIES, Adversary
from tests.guarantee.detector import start_time
from tests.guarantee.harness import Devctl

OBEDIENT = Adversary("obedient")
DAEMON = ADVERSARIES["forgetful_daemon"]


def files(devctl: Devctl) -> Path:
    """The stack's own runtime directory, as devctl made it."""
    (directory,) = [path for path in devctl.runtime.rglob("*") if (path / "lock").exists()]
    return directory


@pytest.fixture
def used(devctl: Devctl) -> Devctl:
    """A place where a stack has run and stopped: its runtime directory exists."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    devctl.up()
    devctl.run("down")
    return devctl


@pytest.fixture
def crashed(devctl: Devctl) -> Devctl:
    """A place where all of devctl was killed and the services run on."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    devctl.up()
    devctl.kill("supervisor", "guard", "sweeper")
    return devctl


def up_and_down(devctl: Devctl) -> None:
    """The stack works from here."""
    devctl.up()
    devctl.run("down")
    assert not devctl.survivors()
    devctl.await_nothing()


def test_stale_socket(used: Devctl) -> None:
    """A socket that nobody listens on hinders nothing."""
    with socket.socket(socket.AF_UNIX) as dead:
        (files(used) / "socket").unlink(missing_ok=True)
        dead.bind(str(files(used) / "socket"))
    used.run("status", status=3)
    used.run("down")
    up_and_down(used)


@pytest.mark.parametrize("kind", ["file", "symlink"])
def test_something_else_where_the_socket_was(used: Devctl, kind: str) -> None:
    """A plain file or a dangling symlink in the socket's place hinders nothing."""
    path = files(used) / "socket"
    path.unlink(missing_ok=True)
    if kind == "file":
        path.write_text("not a socket")
    else:
        path.symlink_to("nowhere")
    used.run("status", status=3)
    up_and_down(used)


@pytest.mark.parametrize("content", [b"", b"4711\n", b"\0" * 100])
def test_stale_lock(used: Devctl, content: bytes) -> None:
    """A lock file that nobody holds is no lock, whatever it contains."""
    (files(used) / "lock").write_bytes(content)
    used.run("down")
    up_and_down(used)


CORRUPTIONS = {
    "empty": b"",
    "garbage": b"\xff\x00\xfe not json",
    "cut": None,
    "list": b"[]",
    "number": b"7",
    "null": b"null",
    "wrong_types": b'{"run_id": [], "boot_id": 3, "guard": "x", "supervisor": null, "sweeper": {"pid": "NaN"}, "dye": -1e999}',
    "deep": b"[" * 100_000,
    "huge_pid": b'{"guard": [999999999999999999999, 1], "supervisor": [-1, 1], "sweeper": [0, 0], "dye": 2}',
}


def corrupt(devctl: Devctl, kind: str) -> None:
    path = files(devctl) / "state.json"
    new = CORRUPTIONS[kind]
    path.write_bytes(path.read_bytes()[:-20] if new is None else new)


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.thorough if number % 3 else ()) for number, kind in enumerate(CORRUPTIONS)]
)
def test_corrupted_state_of_a_stopped_stack(used: Devctl, kind: str) -> None:
    """A state file that cannot be read is said or ignored, never a traceback; the stack works from here."""
    path = files(used) / "state.json"
    if not path.exists():
        path.write_bytes(b'{"run_id": "cut me here please, as there was no file left"}')
    corrupt(used, kind)
    used.run("status", status=3)
    up_and_down(used)


@pytest.mark.parametrize("kind", ["empty", "garbage", "wrong_types"])
def test_corrupted_state_of_a_running_stack(devctl: Devctl, kind: str) -> None:
    """The supervisor knows what it runs without its file: `down` leaves nothing."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    devctl.up()
    corrupt(devctl, kind)
    devctl.run("down")
    assert not devctl.survivors()
    devctl.await_nothing()


@pytest.mark.parametrize("kind", ["empty", "garbage", "cut", "wrong_types"])
def test_corrupted_state_after_a_crash(crashed: Devctl, kind: str) -> None:
    """Even with an unreadable state file what a crashed run left is found and ended by the next commands."""
    corrupt(crashed, kind)
    crashed.run("down")
    assert not crashed.survivors()


def _replaced(value: Any, numbers: dict[int, int]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, numbers) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, numbers) for item in value]
    return numbers.get(value, value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("running", [False, True], ids=["after_a_crash", "while_running"])
def test_recycled_pids(devctl: Devctl, bystander: subprocess.Popen[bytes], running: bool) -> None:
    """State that names an innocent process, as after a reuse of pids, does not get that one killed."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    devctl.up()
    trio = devctl.note_trio()
    if not running:
        devctl.kill("supervisor", "guard", "sweeper")
    path = files(devctl) / "state.json"
    state = json.loads(path.read_text())
    changed = _replaced(state, {pid: bystander.pid for pid, _ in trio.all()})
    assert changed != state, "the state file names no pid of devctl's: this test has lost its subject"
    path.write_text(json.dumps(changed))
    devctl.run("down")
    devctl.run("reap")
    assert bystander.poll() is None
    assert not devctl.survivors()


def test_state_of_another_boot(crashed: Devctl, bystander: subprocess.Popen[bytes]) -> None:
    """Pids and start times of another boot say nothing, even when both fit an innocent process by chance."""
    assert crashed.trio is not None
    path = files(crashed) / "state.json"
    state = json.loads(path.read_text())
    numbers: dict[int, int] = {}
    for pid, started in crashed.trio.all():
        numbers |= {pid: bystander.pid, started: start_time(bystander.pid)}
    state = _replaced(state, numbers)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    text = json.dumps(state)
    assert boot in text, "the state file does not name the boot: this test has lost its subject"
    path.write_text(text.replace(boot, "00000000-0000-4000-8000-000000000000"))
    crashed.run("down", status=None)
    crashed.run("reap", status=None)
    assert bystander.poll() is None
    crashed.stages["obedient"].stop()
    crashed.stages["forgetful_daemon"].stop()


def test_environment_of_another_run(devctl: Devctl) -> None:
    """A process with another run's DEVCTL_RUN_ID, another stack's perhaps, is nobody's business here."""
    devctl.write(devctl.cast(OBEDIENT))
    innocent = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", "import time; time.sleep(100)"],
        env={**os.environ, "DEVCTL_RUN_ID": "20260101-000000-abcdef", "DEVCTL_STACK": "other"},
    )
    try:
        devctl.up()
        devctl.kill("supervisor", "guard", "sweeper")
        devctl.run("down")
        assert innocent.poll() is None
        assert not devctl.survivors()
    finally:
        innocent.kill()
        innocent.wait()


def test_two_stacks_side_by_side(devctl: Devctl, make_devctl: Any) -> None:
    """A crash, `down` and `reap` of one stack leave another stack of the same user alone."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    other = make_devctl()
    other.write(other.cast(OBEDIENT, DAEMON))
    devctl.up()
    other.up()
    devctl.kill("supervisor", "guard", "sweeper")
    devctl.run("down")
    assert not devctl.survivors()
    assert len(other.survivors()) == 3
    other.run("down")

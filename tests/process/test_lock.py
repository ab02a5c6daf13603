"""One holder at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from devctl.process import lock

HOLD = """
import sys
from pathlib import Path
from devctl.process import lock
fd = lock.acquire(Path(sys.argv[1]))
print("held" if fd is not None else "busy", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def holder(path: Path) -> subprocess.Popen[str]:
    """Another process that tries to hold the lock until its input ends; its first line says whether it does."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


def test_a_free_lock(path: Path) -> None:
    """It is ours, and says so."""
    assert not lock.is_held(path)
    fd = lock.acquire(path)
    assert fd is not None
    assert lock.is_held(path)
    os.close(fd)
    assert not lock.is_held(path)


def test_asking_creates_nothing(path: Path) -> None:
    """`status` in a directory without a stack leaves no trace."""
    assert not lock.is_held(path)
    assert not path.exists()


def test_the_second_holder_gets_nothing(path: Path) -> None:
    """Two at once: one has it."""
    first = lock.acquire(path)
    assert first is not None
    with holder(path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "busy\n"
    os.close(first)


def test_a_dead_holder_holds_nothing(path: Path) -> None:
    """SIGKILL is an unlock."""
    with holder(path) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        assert lock.is_held(path)
        assert lock.acquire(path) is None
        other.kill()
    fd = lock.acquire(path)
    assert fd is not None
    os.close(fd)


def test_children_do_not_inherit_it(path: Path) -> None:
    """A service that outlives us must not look like a supervisor."""
    fd = lock.acquire(path)
    assert fd is not None
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_file_removed_meanwhile(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Removed between open and lock: the lock is taken on the file that is there, so that the next one sees it."""
    real = lock.fcntl.flock
    removed: list[int] = []

    def flock(fd: int, operation: int) -> None:
        if not removed:
            removed.append(fd)
            path.unlink()
        real(fd, operation)

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    fd = lock.acquire(path)
    assert fd is not None
    assert os.path.samestat(os.fstat(fd), path.stat())
    assert lock.is_held(path)
    os.close(fd)


def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    """Somebody's symlink is not followed."""
    (tmp_path / "elsewhere").touch()
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        lock.acquire(path)

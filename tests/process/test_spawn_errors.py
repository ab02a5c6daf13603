"""What cannot be started, and what would mend it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from devctl.errors import SpawnError
from devctl.process.spawn import PassingSpawnError, SpawnRequest, explain, spawn


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def error(*argv: str, cwd: str = "/", **env: str) -> SpawnError:
    """The error of a spawn that fails; no descriptor stays open."""
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(SpawnError) as caught:
        spawn(SpawnRequest(argv, {"PATH": "/usr/bin:/bin", **env}, cwd, 1), None)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not isinstance(caught.value, PassingSpawnError)
    return caught.value


def test_a_missing_program() -> None:
    """Not on PATH."""
    found = error("no-such-program-at-all")
    assert (found.what, found.mend) == ("the program no-such-program-at-all is not on PATH", "install it, or correct `command`")


def test_a_missing_path() -> None:
    """With a slash it is not looked for on PATH."""
    assert error("/nowhere/at/all").what == "the program /nowhere/at/all does not exist"


def test_a_missing_relative_path(tmp_path: Path) -> None:
    """Relative to the working directory, not to ours."""
    assert error("./run.sh", cwd=str(tmp_path)).what == "the program ./run.sh does not exist"


def test_a_missing_working_directory(tmp_path: Path) -> None:
    """It is the directory that is missing, not the program."""
    missing = str(tmp_path / "none")
    assert error("true", cwd=missing).what == f"the working directory {missing} does not exist"


def test_a_working_directory_that_is_a_file(tmp_path: Path) -> None:
    """It is there, and is no directory."""
    path = script(tmp_path / "file", "")
    assert error("true", cwd=path).what == f"the working directory {path} is not a directory"


@pytest.mark.skipif(os.getuid() == 0, reason="root may enter everything")
def test_a_working_directory_that_may_not_be_entered(tmp_path: Path) -> None:
    """With what to do about it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    found = error("true", cwd=str(closed))
    closed.chmod(0o700)
    assert (found.what, found.mend) == (f"the working directory {closed} may not be entered", f"chmod u+x {closed}")


def test_a_program_that_may_not_be_executed(tmp_path: Path) -> None:
    """The bit is missing."""
    path = script(tmp_path / "run.sh", "#!/bin/sh\n", 0o644)
    found = error(path)
    assert (found.what, found.mend) == (f"{path} may not be executed", f"chmod +x {path}")


def test_an_interpreter_that_does_not_exist(tmp_path: Path) -> None:
    """The program is there, its interpreter is not."""
    path = script(tmp_path / "run.py", "#!/no/such/python\n")
    found = error(path)
    assert (found.what, found.mend) == (f"the interpreter in the first line of {path} does not exist", "correct its #! line")


def test_an_interpreter_of_a_program_on_path(tmp_path: Path) -> None:
    """The same for a program without a slash."""
    script(tmp_path / "tool", "#!/no/such/python\n")
    assert error("tool", PATH=str(tmp_path)).what == "the interpreter in the first line of tool does not exist"


def test_no_program_at_all(tmp_path: Path) -> None:
    """Neither binary nor script."""
    path = script(tmp_path / "run", "echo hello\n")
    assert error(path).what == f"{path} is no program this system can run"


def test_a_nul_byte() -> None:
    """In an argument or in the environment."""
    for found in (error("true", "a\0b"), error("true", A="a\0b")):
        assert "null byte" in found.what
        assert found.mend.startswith("remove the character")


def test_too_many_arguments() -> None:
    """What the kernel says is passed on."""
    assert "Argument list too long" in error("true", *(["x" * 100_000] * 50)).what


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ETXTBSY])
def test_errors_of_the_moment(number: int) -> None:
    """What may be there again in a moment is told apart, so that the restart policy applies."""
    request = SpawnRequest(("true",), {}, "/", 1)
    assert isinstance(explain(OSError(number, os.strerror(number)), request), PassingSpawnError)

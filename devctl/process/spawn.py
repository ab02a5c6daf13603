"""Starting one process: a session of its own, /dev/null as input, pipes for what it says, and errors that say what to mend."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

from devctl.errors import SpawnError
from devctl.process import dye, system

# Services are better victims than the supervisor when memory runs out, oom_score_adj in proc(5).
OOM_SCORE_ADJ = "300"
# Errors of the moment: the same spawn may succeed later.
PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})


@dataclass(frozen=True, slots=True)
class SpawnRequest:
    """What to run.

    Attributes:
        argv: the program is looked up on env's PATH unless it holds a slash.
        cwd: absolute.
        index: which dye to carry, see devctl.process.dye.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
    index: int


@dataclass(slots=True)
class Child:
    """A process that was spawned. The reading ends are non-blocking and the caller's to close."""

    pid: int
    start_time: int
    index: int
    stdout: int
    stderr: int
    process: subprocess.Popen[bytes] = field(repr=False)


class PassingSpawnError(SpawnError):
    """A spawn that failed for want of something that may be there again in a moment."""


def spawn(request: SpawnRequest, run: int | None, limit: int | None = None) -> Child:
    """Starts `request` and does not wait for it.

    Args:
        run: the run's dye; None where we could not dye ourselves.
        limit: soft RLIMIT_NOFILE to give it, where ours was raised.

    Raises:
        SpawnError: it cannot be started; PassingSpawnError when a later try may succeed.
    """
    out_read, out_write = _pipe()
    err_read, err_write = _pipe()
    try:
        if run is not None:
            dye.set_index(run, request.index)
        # No preexec_fn: with one, CPython has to fork instead of vfork (1.7 to 12 ms against 0.2).
        process = subprocess.Popen(
            request.argv,
            stdin=subprocess.DEVNULL,
            stdout=out_write,
            stderr=err_write,
            cwd=request.cwd,
            env=dict(request.env),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        os.close(out_read)
        os.close(err_read)
        raise explain(error, request) from error
    finally:
        os.close(out_write)
        os.close(err_write)
        if run is not None:
            dye.set_index(run, 0)
    # We reap ourselves; this keeps Popen from waiting for a pid that may be somebody else's by then.
    process.returncode = 0
    with contextlib.suppress(OSError), open(f"/proc/{process.pid}/oom_score_adj", "w") as file:
        file.write(OOM_SCORE_ADJ)
    if limit is not None:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (limit, hard))
    return Child(process.pid, system.start_time(process.pid) or 0, request.index, out_read, err_read, process)


def explain(error: OSError | ValueError, request: SpawnRequest) -> SpawnError:
    """The error of a failed spawn in words, with what would mend it."""
    program = request.argv[0] if request.argv else ""
    if isinstance(error, ValueError):
        return SpawnError(f"cannot start {program}: {error}", "remove the character from the command or its environment")
    if error.errno in PASSING:
        return PassingSpawnError(f"cannot start {program}: {error.strerror}", "the machine is short of it; see `ulimit -a`")
    if os.path.exists(request.cwd) and not os.path.isdir(request.cwd):
        return SpawnError(f"the working directory {request.cwd} is not a directory", "correct `working_dir`")
    if not os.path.isdir(request.cwd):
        return SpawnError(f"the working directory {request.cwd} does not exist", "create it or correct `working_dir`")
    if not os.access(request.cwd, os.X_OK):
        return SpawnError(f"the working directory {request.cwd} may not be entered", f"chmod u+x {request.cwd}")
    path = program if "/" in program else shutil.which(program, path=request.env.get("PATH")) or ""
    full = os.path.join(request.cwd, path) if path else ""
    if error.errno == errno.ENOENT and not os.path.exists(full):
        where = "does not exist" if "/" in program else "is not on PATH"
        return SpawnError(f"the program {program} {where}", "install it, or correct `command`")
    if error.errno == errno.ENOENT:
        return SpawnError(f"the interpreter in the first line of {program} does not exist", "correct its #! line")
    if error.errno == errno.EACCES:
        return SpawnError(f"{program} may not be executed", f"chmod +x {full or program}")
    if error.errno == errno.ENOEXEC:
        return SpawnError(f"{program} is no program this system can run", "give it a #! line, or name its interpreter in `command`")
    return SpawnError(f"cannot start {program}: {error.strerror}", "see `command` and `working_dir`")


def _pipe() -> tuple[int, int]:
    read, write = os.pipe()
    os.set_blocking(read, False)
    return read, write

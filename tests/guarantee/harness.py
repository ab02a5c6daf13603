"""Runs the devctl command in a place of its own, as any user, and leaves nothing behind whatever a test does.

devctl = Devctl(Mode("as is"))
devctl.write({"web": {"command": ["sleep", "60"]}})
devctl.up()
devctl.run("down")
devctl.close()          # kills and reports what is left
"""

from __future__ import annotations

import atexit
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.guarantee.cast import Adversary
from tests.guarantee.detector import Found, Wanted, await_nobody, exterminate, living, start_time
from tests.guarantee.stagehand import HANG_GUARD, Stage

REPOSITORY = Path(__file__).parents[2]
NOBODY = 65534
FAREWELL = 3.0  # seconds at the end of a test for devctl's own processes to go; services' must be gone by then anyway
GRACE = "300ms"  # stop_grace_period of adversaries: most ignore TERM, and every ending waits for it


@dataclass(frozen=True)
class Mode:
    """Under which conditions devctl runs.

    Attributes:
        name: for test ids.
        other_user: as a user id that nobody else has; needs root.
        cgroup: False takes the cgroup away, so that the other layers are proved alone.
    """

    name: str
    other_user: bool = False
    cgroup: bool = True

    @property
    def possible(self) -> bool:
        return not self.other_user or (os.getuid() == 0 and outsider_python() is not None)


AS_IS = Mode("as_is")
NO_CGROUP = Mode("no_cgroup", cgroup=False)
OTHER_USER = Mode("other_user", other_user=True, cgroup=False)


@dataclass(frozen=True)
class Trio:
    """devctl's own processes: (pid, start time in ticks) each."""

    supervisor: tuple[int, int]
    guard: tuple[int, int]
    sweeper: tuple[int, int]

    def all(self) -> tuple[tuple[int, int], ...]:
        return (self.supervisor, self.guard, self.sweeper)


class Devctl:
    """The command line in a private place: a project, a runtime directory, a home, perhaps a user.

    The place is not pytest's tmp_path: a socket path may have 107 bytes only, and another user must be able to enter it.

    Args:
        mode: see Mode.
        project: the project directory's name below the place; any depth.
        environ: further variables; None removes one.
    """

    def __init__(self, mode: Mode = AS_IS, *, project: str = "project", environ: Mapping[str, str | None] | None = None) -> None:
        self.mode = mode
        self.place = Path(tempfile.mkdtemp(prefix="dg-"))
        self.place.chmod(0o755)
        self.uid = free_uid() if mode.other_user else None
        self.stages: dict[str, Stage] = {}
        self.trio: Trio | None = None
        self._clients: list[subprocess.Popen[Any]] = []
        self.project = self.directory(project)
        self.runtime = self.directory("run", 0o700)
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory("home")),
            "LANG": "C.UTF-8",
            "DEVCTL_RUNTIME_DIR": str(self.runtime),
        }
        if not mode.cgroup:
            self.environ["DEVCTL_CGROUP"] = "off"
        for name, value in (environ or {}).items():
            if value is None:
                self.environ.pop(name, None)
            else:
                self.environ[name] = value
        self.python = str(outsider_python()) if mode.other_user else sys.executable
        script = Path(sys.executable).with_name("devctl")
        self.command = [str(script)] if script.exists() and not mode.other_user else [self.python, "-m", "devctl"]

    # --- the place -------------------------------------------------------------------------------------------------------------

    def directory(self, name: str, mode: int = 0o755) -> Path:
        """A directory below the place that belongs to the user devctl runs as."""
        path = self.place
        for part in Path(name).parts:
            path = path / part
            path.mkdir(exist_ok=True)
            self.hand_over(path)
        path.chmod(mode)
        return path

    def hand_over(self, path: Path) -> None:
        """Gives a file or directory to the user devctl runs as."""
        if self.uid is not None:
            os.chown(path, self.uid, self.uid)

    def write(self, services: Mapping[str, Any], **stack: Any) -> Path:
        """Writes services.yaml (as JSON, which is YAML too) and returns its path."""
        path = self.project / "services.yaml"
        path.write_text(json.dumps({"services": services, **stack}, ensure_ascii=False, indent=1), encoding="utf-8")
        self.hand_over(path)
        return path

    def cast(self, *adversaries: Adversary, **keys: Any) -> dict[str, Any]:
        """Service entries for adversaries; the service has the adversary's name, its stage is in `stages`."""
        services = {}
        for adversary in adversaries:
            stage = self.stages[adversary.name] = Stage(self.place / f"stage-{adversary.name}")
            argv = adversary.argv(self.python, stage.marker, stage.path)
            services[adversary.name] = {"command": argv, "stop_grace_period": GRACE, **keys}
        return services

    def await_in_position(self) -> None:
        """Waits until every adversary has committed its sin."""
        for stage in self.stages.values():
            stage.await_in_position()

    # --- the command -----------------------------------------------------------------------------------------------------------

    def identity(self) -> dict[str, Any]:
        """Arguments for subprocess that make a process run as this devctl's user."""
        return {} if self.uid is None else {"user": self.uid, "group": self.uid, "extra_groups": []}

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[Any]:
        """Starts a devctl command without a terminal, its output in pipes."""
        defaults: dict[str, Any] = {
            "cwd": self.project,
            "env": self.environ,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
            "errors": "replace",
            "start_new_session": True,
        }
        process = subprocess.Popen([*self.command, *arguments], **{**defaults, **self.identity(), **options})
        self._clients.append(process)
        return process

    def run(self, *arguments: str, status: int | None = 0, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Runs a devctl command to its end and checks its exit status (None: any) and that there was no traceback."""
        process = self.popen(*arguments)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        report = f"devctl {' '.join(arguments)} → {process.returncode}\n--- stdout\n{out}--- stderr\n{err}"
        assert status is None or process.returncode == status, report
        assert "Traceback" not in err, report
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def up(self, *arguments: str) -> None:
        """`up -d --no-wait`, then waits for the adversaries."""
        self.run("up", "-d", "--no-wait", *arguments)
        self.await_in_position()

    def status(self) -> dict[str, Any]:
        """What `status --json` says."""
        answer: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return answer

    def note_trio(self) -> Trio:
        """Asks for the pids of supervisor, guard and sweeper and remembers them. A service may be there a moment before the control
        API is: then it asks again."""
        end = time.monotonic() + HANG_GUARD
        while (asked := self.run("status", "--json", status=None)).returncode != 0 and time.monotonic() < end:
            time.sleep(0.01)
        assert asked.returncode == 0, asked
        info = json.loads(asked.stdout)["supervisor"]
        pids = [info[key] for key in ("pid", "guard_pid", "sweeper_pid")]
        self.trio = Trio(*((pid, start_time(pid)) for pid in pids))
        return self.trio

    def kill(self, *roles: str, number: int = signal.SIGKILL) -> None:
        """Signals devctl's own processes, one right after the other."""
        trio = self.note_trio()
        for role in roles:
            os.kill(getattr(trio, role)[0], number)

    # --- what is left ----------------------------------------------------------------------------------------------------------

    @property
    def markers(self) -> tuple[str, ...]:
        return tuple(stage.marker for stage in self.stages.values())

    def survivors(self) -> list[Found]:
        """Processes of services that are alive now."""
        return living(Wanted(self.markers), [stage.pulse for stage in self.stages.values()])

    def everything(self) -> Wanted:
        """Services' processes and devctl's own."""
        return Wanted(self.markers, self.uid, str(self.runtime), self.trio.all() if self.trio else ())

    def await_nothing(self, timeout: float = HANG_GUARD) -> None:
        """Waits until neither a service's process nor one of devctl's is left; fails naming those that are."""
        left = await_nobody(self.everything(), [stage.pulse for stage in self.stages.values()], timeout=timeout)
        assert not left, "left behind:\n" + "\n".join(map(str, left))

    def close(self) -> None:
        """Kills what is left, removes the place, and fails if there was anything to kill."""
        pulses = [stage.pulse for stage in self.stages.values()]
        for client in self._clients:
            if client.poll() is None:
                client.kill()
            client.wait()
            for pipe in (client.stdout, client.stderr):
                if pipe:
                    pipe.close()
        left = await_nobody(self.everything(), pulses, timeout=FAREWELL)
        for stage in self.stages.values():
            stage.stop()
        undying = exterminate(self.everything()) if left else []
        for stage in self.stages.values():
            stage.close()
        shutil.rmtree(self.place, ignore_errors=True)
        assert not undying, "could not be ended even by the harness:\n" + "\n".join(map(str, undying))
        assert not left, "the test left processes (now killed):\n" + "\n".join(map(str, left))


def free_uid() -> int:
    """A user id that no process on this machine has, so that whatever has it later is ours."""
    while living(Wanted(uid=(uid := random.randrange(20000, 60000)))):
        pass
    return uid


@cache
def outsider_python() -> Path | None:
    """An interpreter that every user may run and that finds devctl and what it needs; None where there is none.

    A virtual environment may sit below a private home, its interpreter too; then the system's of the same version serves, in a
    small environment that only points to the packages.
    """
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    packages = [str(REPOSITORY), *(path for path in sys.path if path.endswith("site-packages"))]
    for base in (os.path.realpath(sys.executable), f"/usr/local/bin/{version}", f"/usr/bin/{version}"):
        root = Path(tempfile.gettempdir()) / f"dg-python-{os.getpid()}"
        atexit.register(shutil.rmtree, root, ignore_errors=True)
        site = root / "lib" / version / "site-packages"
        (root / "bin").mkdir(parents=True, exist_ok=True)
        site.mkdir(parents=True, exist_ok=True)
        python = root / "bin" / "python"
        python.unlink(missing_ok=True)
        python.symlink_to(base)
        (root / "pyvenv.cfg").write_text(f"home = {os.path.dirname(base)}\n")
        (site / "devctl.pth").write_text("\n".join(packages))
        try:
            done = subprocess.run(
                [python, "-c", "import devctl.cli.main, yaml, starlette, uvicorn"],
                user=NOBODY,
                group=NOBODY,
                extra_groups=[],
                cwd="/",
                capture_output=True,
            )
        except OSError:
            continue
        if done.returncode == 0:
            return python
    return None

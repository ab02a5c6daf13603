"""`devctl doctor`: what this machine can do for a stack, and what to mend."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from devctl.cli.output import print_json
from devctl.cli.style import Style
from devctl.errors import DevctlError
from devctl.paths import ensure_private, runtime_root

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where

# Each service takes some four descriptors in the supervisor: two pipes, a pidfd, its log.
FILES_A_SERVICE = 4
FEW_FILES = 1024  # what old systems give as the hard limit: enough for some 200 services
MARKS = {"ok": ("ready", "green"), "note": ("waiting", "dim"), "bad": ("failed", "red")}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `level`: ok, note (works, with less), bad (must be mended)."""

    what: str
    level: str
    text: str
    mend: str = ""


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options."""
    parser.json()


def run(args: Namespace, where: Where) -> int:
    """Prints the findings; exit status 1 when something must be mended."""
    findings = list(examine())
    if args.json:
        print_json([asdict(finding) for finding in findings])
    else:
        style = Style()
        width = max(len(finding.what) for finding in findings)
        for finding in findings:
            glyph, colour = MARKS[finding.level]
            print(f"{style.paint(style.glyph(glyph), colour)} {finding.what:<{width}}  {finding.text}")
            if finding.mend:
                print(f"  {'':<{width}}  {style.paint(finding.mend, 'dim')}")
    return 1 if any(finding.level == "bad" for finding in findings) else 0


def examine() -> Iterator[Finding]:
    """Looks at one thing after another; what cannot be looked at is a finding too."""
    checks: tuple[Callable[[], Finding], ...] = (python, runtime_directory, pidfd, subreaper, children, dye, cgroup, files, inotify)
    for check in checks:
        try:
            yield check()
        except (OSError, DevctlError, ValueError) as error:
            yield Finding(check.__name__.replace("_", " "), "bad", str(error))


def python() -> Finding:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    return Finding("python", "ok", f"{version}, {sys.executable}")


def runtime_directory() -> Finding:
    """Where locks and sockets go."""
    root = runtime_root()
    ensure_private(root)
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding("runtime directory", "bad", f"{root} cannot be written", "set DEVCTL_RUNTIME_DIR to one that can")
    # A socket's path: the directory, 16 hex digits, its name; 107 bytes at most.
    if len(os.fsencode(root)) + 1 + 16 + len("/socket") > 107:
        return Finding("runtime directory", "bad", f"{root} is too long for a socket", "set DEVCTL_RUNTIME_DIR to a shorter one")
    return Finding("runtime directory", "ok", str(root))


def pidfd() -> Finding:
    """pidfd_open(2): signals that cannot hit a stranger."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (OSError, AttributeError):
        return Finding("pidfd", "bad", "this kernel has no pidfd_open", "Linux 5.3 or newer is needed")
    return Finding("pidfd", "ok", "processes are held by descriptor")


def subreaper() -> Finding:
    """prctl(2): what a service detaches stays ours. Set for this short-lived process only."""
    from devctl.process import system

    try:
        system.become_subreaper()
    except OSError as error:
        return Finding("subreaper", "bad", f"not possible: {error}", "Linux 3.4 or newer is needed")
    return Finding("subreaper", "ok", "detached processes stay ours")


def children() -> Finding:
    """/proc/PID/task/TID/children: finding a tree without reading all of /proc."""
    if os.path.exists(f"/proc/{os.getpid()}/task/{os.getpid()}/children"):
        return Finding("/proc children", "ok", "trees are found at once")
    return Finding("/proc children", "note", "missing: /proc is scanned instead", "a kernel with CONFIG_PROC_CHILDREN is faster")


def dye() -> Finding:
    """RLIMIT_RTTIME as the mark of a run."""
    from devctl.process import system

    if system.own_rttime_limit()[1] != -1:
        return Finding("dye", "note", "RLIMIT_RTTIME is limited already: runs are told by their environment only",
                       "ulimit -R unlimited, where you may")  # fmt: skip
    return Finding("dye", "ok", "every process of a run can be told")


def cgroup() -> Finding:
    """Whether a run can have a cgroup of its own."""
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return Finding("cgroup v2", "note", "not mounted; everything works without it")
    own = next((line[3:].strip() for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "/")
    path = "/sys/fs/cgroup" + own
    if os.access(path, os.W_OK) and os.access(f"{path}/cgroup.procs", os.W_OK):
        return Finding("cgroup v2", "ok", f"delegated at {own}")
    return Finding("cgroup v2", "note", "not delegated to you; only sudo'd children need it",
                   "systemd-run --user --scope -p Delegate=yes devctl up")  # fmt: skip


def files() -> Finding:
    """How many services the limit of open files allows."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard == resource.RLIM_INFINITY or hard > FEW_FILES:
        return Finding("open files", "ok", "no limit" if hard == resource.RLIM_INFINITY else f"at most {hard}")
    return Finding("open files", "note", f"at most {hard}: enough for {hard // FILES_A_SERVICE - 20} services", "raise ulimit -Hn")


def inotify() -> Finding:
    """Following logs and watching files."""
    limits = {}
    for name in ("max_user_instances", "max_user_watches"):
        path = Path("/proc/sys/fs/inotify") / name
        if not path.exists():
            return Finding("inotify", "note", "not there; files are looked at again and again instead")
        limits[name] = int(path.read_text())
    text = f"{limits['max_user_instances']} instances, {limits['max_user_watches']} watches"
    if limits["max_user_watches"] < 8192:
        return Finding("inotify", "note", f"{text}: few", "sysctl fs.inotify.max_user_watches=65536")
    return Finding("inotify", "ok", text)

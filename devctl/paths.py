"""Where a stack's runtime files are: lock, socket, state; one short directory for each manifest.

<runtime>/devctl/<16 hex digits of the manifest's real path>/
    lock          flock'ed by guard and supervisor for as long as one of them lives
    state.json    who runs what (see devctl.process.record)
    stack.json    name, directory, files and log directory; stays after `down`
    socket        the control API
    notify-…      sockets of notify health checks
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from devctl.errors import UnsafePath

MANIFEST_NAMES = ("services.yaml", "services.yml", "devctl.yaml")
SOCKET_PATH_LIMIT = 107  # sun_path holds 108 bytes with its NUL, unix(7); 104 on macOS


@dataclass(frozen=True, slots=True)
class StackPaths:
    """The runtime files of one stack."""

    root: Path

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def state(self) -> Path:
        return self.root / "state.json"

    @property
    def stack(self) -> Path:
        return self.root / "stack.json"

    @property
    def socket(self) -> Path:
        return self.root / "socket"


def find_manifest(start: Path) -> Path | None:
    """The nearest manifest, walking up from the directory `start`; None when there is none."""
    for directory in (start, *start.parents):
        for name in MANIFEST_NAMES:
            candidate = directory / name
            if candidate.is_file():
                return candidate
    return None


def runtime_root() -> Path:
    """The directory for all stacks of this user, not yet created.

    DEVCTL_RUNTIME_DIR, else XDG_RUNTIME_DIR, else /run/user/UID (a cron job or `sudo -u` has no XDG_RUNTIME_DIR but must find the
    same stack), else /tmp/devctl-UID.
    """
    if override := os.environ.get("DEVCTL_RUNTIME_DIR"):
        return Path(override).absolute()
    uid = os.getuid()
    for candidate in (os.environ.get("XDG_RUNTIME_DIR"), f"/run/user/{uid}"):
        if candidate and _is_private(Path(candidate), uid):
            return Path(candidate) / "devctl"
    # macOS's TMPDIR is too long for a socket path, and /tmp is sticky everywhere.
    return Path(f"/tmp/devctl-{uid}")


def stack_paths(manifest: Path) -> StackPaths:
    """The runtime files for the stack of `manifest` (of several, the first). Creates nothing."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(manifest))).hexdigest()[:16]
    return StackPaths(runtime_root() / digest)


def all_stack_paths() -> list[StackPaths]:
    """Every stack of this user that has runtime files, running or not."""
    root = runtime_root()
    try:
        ensure_private(root, create=False)
        names = sorted(os.listdir(root))
    except FileNotFoundError:
        return []
    return [StackPaths(root / name) for name in names if len(name) == 16 and (root / name).is_dir()]


def ensure_private(directory: Path, *, create: bool = True) -> None:
    """Creates `directory` with mode 0700, or verifies that it is a real directory of ours that nobody else may enter.

    Raises:
        UnsafePath: it is a symlink, no directory, or somebody else's. A mode that is too open is mended, as it is ours.
        FileNotFoundError: it does not exist and `create` is false.
    """
    if create:
        try:
            os.makedirs(directory.parent, mode=0o700, exist_ok=True)
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        except OSError as error:
            raise UnsafePath(
                f"cannot create the runtime directory {directory}: {error.strerror}",
                "set DEVCTL_RUNTIME_DIR to a directory you can write to",
            ) from error
    info = os.lstat(directory)
    if stat.S_ISLNK(info.st_mode) or not stat.S_ISDIR(info.st_mode):
        raise UnsafePath(f"{directory} is not a directory but something else, perhaps planted by another user", "remove it")
    if info.st_uid != os.getuid():
        raise UnsafePath(f"{directory} belongs to user {info.st_uid}, not to you", "remove it or set DEVCTL_RUNTIME_DIR")
    if info.st_mode & 0o077:
        os.chmod(directory, 0o700)


def prepare(paths: StackPaths) -> None:
    """Creates the runtime directories of a stack, each private. Raises UnsafePath."""
    ensure_private(paths.root.parent)
    ensure_private(paths.root)
    if len(os.fsencode(paths.socket)) > SOCKET_PATH_LIMIT:
        raise UnsafePath(
            f"the socket path {paths.socket} is longer than the {SOCKET_PATH_LIMIT} bytes the kernel allows",
            "set DEVCTL_RUNTIME_DIR to a shorter directory",
        )


def _is_private(directory: Path, uid: int) -> bool:
    try:
        info = os.stat(directory)
    except OSError:
        return False
    return stat.S_ISDIR(info.st_mode) and info.st_uid == uid and not info.st_mode & 0o077

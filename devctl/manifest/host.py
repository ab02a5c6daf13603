"""What a manifest says, compared with this machine: programs, directories, env files. Every answer is kept for the load."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from devctl.manifest.envfile import parse_env
from devctl.manifest.nodes import Node
from devctl.manifest.source import Problems, Wrong, check_characters, nearest, quoted, read_source

MAX_PROGRAMS = 50_000  # names taken from PATH for a "did you mean"; a big system has 5,000


class Host:
    """Answers about the file system.

    Args:
        directory: relative paths start here.
        environ: HOME for `~/`, PATH for programs, and what env files refer to.
    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._directory = str(directory)
        self._environ = environ
        self._programs: dict[tuple[str, str, str], bool] = {}
        self._names: dict[tuple[str, str], list[str]] = {}
        self._env_files: dict[str, dict[str, str]] = {}
        self._directories: dict[str, str] = {}

    def absolute(self, path: str) -> str:
        """`path` from the manifest's directory on, `~/` being the caller's home; not resolved further."""
        if path == "~" or path.startswith("~/"):
            path = self._environ.get("HOME", "~") + path[1:]
        return os.path.normpath(os.path.join(self._directory, path))

    def check_directory(self, path: str, node: Node, problems: Problems) -> None:
        """Reports a working directory that is missing, no directory, or closed to us."""
        if path not in self._directories:
            self._directories[path] = _directory_trouble(path)
        if trouble := self._directories[path]:
            problems.add(
                node, f"working_dir {quoted(path, 200)} {trouble}", "create it, or correct the path; it is relative to the manifest"
            )

    def env_file(self, path: str, required: bool, node: Node, problems: Problems) -> dict[str, str]:
        """The variables of an env file; what is wrong with it is reported once, a missing required one at every mention."""
        if not os.path.lexists(path):
            if required:
                problems.add(node, f"env file {quoted(path, 200)} does not exist", "create it, or write {path: …, required: false}")
            return {}
        if path not in self._env_files:
            found: dict[str, str] = {}
            try:
                source = read_source(Path(path), path, rank=node.source.rank)
                check_characters(source)
                found = parse_env(source, self._environ, problems)
            except Wrong as wrong:
                if wrong.place.line:
                    problems.add_wrong(wrong)
                else:
                    problems.add(node, f"env file {quoted(path, 200)} {wrong.message}", wrong.help)
            self._env_files[path] = found
        return self._env_files[path]

    def check_program(self, program: str, path: str | None, cwd: str, node: Node, problems: Problems) -> None:
        """Reports a program that cannot be executed.

        Args:
            program: argv[0]; with a slash it is a path from `cwd` on.
            path: the service's own PATH, None for the caller's.
            cwd: the service's working directory, absolute.
        """
        search = self._environ.get("PATH", os.defpath) if path is None else path
        if "/" in program:
            if trouble := _program_trouble(os.path.join(cwd, program)):
                problems.add(
                    node,
                    f"command {quoted(program, 200)} {trouble}",
                    "a path is relative to working_dir; check it and its permissions",
                )
        elif not self._on_path(program, search, cwd):
            owner = "PATH" if path is None else "the PATH that `environment` sets"
            problems.add(node, f"{quoted(program)} is not on {owner}", self._program_help(program, search, cwd))

    def _on_path(self, program: str, search: str, cwd: str) -> bool:
        key = (program, search, cwd if _has_relative(search) else "")
        if key not in self._programs:
            self._programs[key] = any(
                not _program_trouble(os.path.join(cwd, folder, program)) for folder in search.split(os.pathsep)
            )
        return self._programs[key]

    def _program_help(self, program: str, search: str, cwd: str) -> Callable[[], str]:
        def text() -> str:
            beside = os.path.join(cwd, program)
            if not _program_trouble(beside):
                return f"it is in the working directory: write ./{program}"
            names = self._program_names(search, cwd)
            return nearest(program, names, otherwise="install it, or write its path")()

        return text

    def _program_names(self, search: str, cwd: str) -> list[str]:
        key = (search, cwd if _has_relative(search) else "")
        if key not in self._names:
            names: dict[str, None] = {}
            for folder in search.split(os.pathsep):
                try:
                    with os.scandir(os.path.join(cwd, folder)) as listing:
                        names.update(
                            (entry.name, None) for entry, _ in zip(listing, range(MAX_PROGRAMS - len(names)), strict=False)
                        )
                except OSError:
                    continue
            self._names[key] = list(names)
        return self._names[key]


def _has_relative(search: str) -> bool:
    return any(not os.path.isabs(folder) for folder in search.split(os.pathsep))


def _program_trouble(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if stat.S_ISDIR(mode):
        return "is a directory"
    return "" if os.access(path, os.X_OK) else "is not executable"


def _directory_trouble(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be used: {error.strerror}"
    if not stat.S_ISDIR(mode):
        return "is not a directory"
    return "" if os.access(path, os.X_OK) else "may not be entered"

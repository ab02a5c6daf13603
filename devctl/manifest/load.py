"""From manifest files to a Plan, or to one error that tells everything that is wrong."""

from __future__ import annotations

import gc
import os
import re
from collections.abc import Mapping as MappingABC
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from devctl.errors import ManifestError, Problem, UnknownService
from devctl.manifest import checks
from devctl.manifest.build import NOTHING, Built, Shared, build_service, read_logging
from devctl.manifest.envfile import parse_env
from devctl.manifest.graph import restrict
from devctl.manifest.host import Host
from devctl.manifest.merge import merge
from devctl.manifest.nodes import Mapping, Scalar, describe, parse
from devctl.manifest.source import Problems, Source, Spot, Wrong, check_characters, nearest, quoted, read_source
from devctl.manifest.substitute import Warn, substitute, substitute_name
from devctl.manifest.table import MANIFEST, NAME_PATTERN
from devctl.paths import MANIFEST_NAMES, find_manifest
from devctl.plan import LogSettings, Plan

MAX_SERVICES = 10_000  # far beyond one machine; a generated manifest gone wrong ends here
MAX_FILES = 100  # -f given more often is a shell's glob gone wrong
OVERRIDES = ("services.override.yaml", "services.override.yml")
RESERVED_NAMES = frozenset({"devctl"})  # logs/devctl.log is the supervisor's own

_EXAMPLE = "a first one: services: {web: {command: python -m http.server 8000, port: 8000}}"


def load(
    files: Sequence[Path] | None,
    *,
    directory: Path,
    environ: MappingABC[str, str],
    profiles: Sequence[str] = (),
    services: Sequence[str] = (),
    check_commands: bool = True,
    warn: Warn | None = None,
) -> Plan:
    """Reads, merges and checks manifests.

    Args:
        files: manifests in merge order, relative to `directory`; None looks for services.yaml from `directory` upwards and lays
            services.override.yaml over it.
        directory: where the user is.
        environ: variables for `${…}`, pass-through, PATH and DEVCTL_PROFILES; a `.env` beside the first manifest stands behind it.
        profiles: active ones, beside those in DEVCTL_PROFILES; `*` is all.
        services: names asked for. They are part of the plan whatever their profile; others are not left out (see graph.select).
        check_commands: whether programs and working directories must exist on this machine.
        warn: called with what is odd but no error, such as a variable that is not set.

    Raises:
        ManifestError: with every problem found.
        UnknownService: a name in `services` is in no manifest.
    """
    collecting = gc.isenabled()
    gc.disable()  # the nodes of a big manifest are all alive: collecting among them makes parsing ten times slower
    try:
        problems = Problems()
        loader = _Loader(directory, environ, problems, warn)
        active = [*profiles, *filter(None, environ.get("DEVCTL_PROFILES", "").replace(",", " ").split())]
        try:
            return loader.load(_find(files, directory), active, services, check_commands)
        except Wrong as wrong:
            problems.add_wrong(wrong)
            problems.check()
            raise AssertionError("a problem was added, so check raises") from wrong
    finally:
        if collecting:
            gc.enable()


class _Loader:
    def __init__(self, directory: Path, environ: MappingABC[str, str], problems: Problems, warn: Warn | None) -> None:
        self._from = directory
        self._environ = environ
        self._problems = problems
        self._warn = warn
        self._dotenv: dict[str, str] = {}
        self._profiles: Sequence[str] = ()

    def load(self, files: list[Path], profiles: Sequence[str], named: Sequence[str], check_commands: bool) -> Plan:
        problems = self._problems
        self._profiles = profiles
        roots = [root for root in (self._read(path, rank) for rank, path in enumerate(files)) if root]
        directory = Path(os.path.abspath(files[0])).parent
        self._read_dotenv(directory / ".env")
        problems.check()  # what follows would only repeat that a file is unreadable

        name = self._substitute(roots, directory)
        root = roots[0]
        for over in roots[1:]:
            root = merge(root, over, MANIFEST)
        values = MANIFEST.read(root, problems)
        host = Host(directory, self._environ)
        shared = Shared(
            directory=str(directory),
            environment=values.get("environment", NOTHING),
            env_files=values.get("env_file", ()),
            logging=read_logging(values.get("logging", {}), LogSettings(), host),
            host=host,
            lookup=self._lookup,
        )
        built = self._build(root, values, shared)
        ordered = checks.check_dependencies(built, problems)
        for wanted in named:
            if wanted not in built:
                problems.check()
                raise UnknownService(
                    f"there is no service {quoted(wanted)}", nearest(wanted, list(built), otherwise="see `devctl config`")()
                )
        enabled = checks.enabled_services(built, profiles, named)
        self._check(root, built, enabled, shared, check_commands)
        problems.check()
        everything = Plan(
            name=values.get("name", name),
            directory=str(directory),
            files=tuple(os.path.abspath(path) for path in files),
            services={name: built[name].spec for name in ordered},
            logging=shared.logging,
        )
        return restrict(everything, enabled)

    def _read(self, path: Path, rank: int) -> Mapping | None:
        """A file's root map; None when it was reported. Its nodes know its rank, which orders the problems."""
        source = Source(path, _shown(path), rank)
        try:
            source = read_source(path, source.shown, rank)
            if not source.text.strip():
                raise Wrong(Spot(source), "the file is empty", _EXAMPLE)
            root = parse(source, self._problems)
        except Wrong as wrong:
            self._problems.add_wrong(wrong)
            return None
        if isinstance(root, Mapping):
            return root
        if root is None or (isinstance(root, Scalar) and root.null):
            if not any(place.source is source for place, _, _ in self._problems.found):
                self._problems.add(Spot(source), "the file holds no manifest, only comments", _EXAMPLE)
        else:
            self._problems.add(root, f"a manifest is a map, found {describe(root)}", _EXAMPLE)
        return None

    def _read_dotenv(self, path: Path) -> None:
        if not os.path.lexists(path):
            return
        try:
            source = read_source(path, _shown(path), rank=MAX_FILES)
            check_characters(source)
            self._dotenv = parse_env(source, self._environ, self._problems)
        except Wrong as wrong:
            self._problems.add_wrong(wrong)

    def _lookup(self, name: str) -> str | None:
        if name == "DEVCTL_PROFILES":
            # However they were asked for, so that a value can be there for a profile only: ${DEVCTL_PROFILES:+…}.
            return ",".join(self._profiles)
        value = self._environ.get(name)
        return self._dotenv.get(name) if value is None else value

    def _substitute(self, roots: list[Mapping], directory: Path) -> str:
        """Replaces variables everywhere and returns the stack's name, which the values may mention."""
        name = _default_name(directory)
        for root in roots:
            name = substitute_name(root, self._lookup, self._problems) or name
        stack = {"stack.name": name, "stack.dir": str(directory)}
        for root in roots:
            substitute(root, self._lookup, stack, self._problems, self._warn)
        return name

    def _build(self, root: Mapping, values: dict[str, Any], shared: Shared) -> dict[str, Built]:
        node = root.get("services")
        if node is None:
            self._problems.add(Spot(root.source, 1, 1), "there is no `services` key", _EXAMPLE)
            return {}
        if (isinstance(node, Scalar) and node.null) or (isinstance(node, Mapping) and not node.entries):
            self._problems.add(node, "`services` is empty", "add a service: name: {command: …}")
        if not isinstance(node, Mapping):
            return {}
        if len(node.entries) > MAX_SERVICES:
            self._problems.add(node, f"{len(node.entries):,} services; at most {MAX_SERVICES:,} are possible", "split the stack")
            return {}
        built: dict[str, Built] = {}
        for name, (key, service) in node.entries.items():
            if name in RESERVED_NAMES:
                self._problems.add(
                    key, f"a service cannot be named `{name}`: its log would be the supervisor's", "choose another name"
                )
            elif re.fullmatch(NAME_PATTERN, name):
                # A service whose value is no map was reported; its name still counts, or dependents would be reported too.
                built[name] = build_service(key, service, values.get("services", {}).get(name) or {}, shared, self._problems)
        return built

    def _check(self, root: Mapping, built: dict[str, Built], enabled: set[str], shared: Shared, check_commands: bool) -> None:
        problems = self._problems
        checks.check_disabled(built, enabled, problems)
        checks.check_ports(built, enabled, problems)
        checks.check_references(root.get("environment"), built, enabled, problems)
        for file in shared.env_files:
            shared.host.env_file(shared.host.absolute(file.path), file.required, file.place, problems)
        for name, service in built.items():
            for file in service.files if name in enabled else ():
                shared.host.env_file(shared.host.absolute(file.path), file.required, file.place, problems)
        if check_commands:
            checks.check_programs(built, enabled, shared.host, problems)


def _find(files: Sequence[Path] | None, directory: Path) -> list[Path]:
    if files:
        if len(files) > MAX_FILES:
            raise ManifestError([Problem("", 0, 0, f"{len(files)} manifests; at most {MAX_FILES} are possible")])
        return [directory / file for file in files]
    found = find_manifest(Path(os.path.abspath(directory)))
    if found is None:
        names = ", ".join(MANIFEST_NAMES[:-1]) + f" or {MANIFEST_NAMES[-1]}"
        raise ManifestError(
            [Problem("", 0, 0, f"no {names} in {directory} or above", "`devctl init` writes a first one; -f names another")]
        )
    overrides = [found.parent / name for name in OVERRIDES if (found.parent / name).is_file()]
    return [found, *overrides[:1]]


def _shown(path: Path) -> str:
    """Relative to where the user is, if it is below; editors and terminals make such paths clickable."""
    try:
        return str(Path(os.path.abspath(path)).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def _default_name(directory: Path) -> str:
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", directory.name).strip("-_.")[:63]
    return name or "stack"

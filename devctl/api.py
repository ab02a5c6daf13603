"""The public Python API: a stack as an object, for tests, scripts and notebooks.

    with Stack("services.yaml") as stack:
        stack.wait_ready()
        httpx.get(stack["backend"].url)

The stack lives as long as the block, and not longer than the process: when that is killed, the supervisor stops the stack.
Methods may be called from several threads.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from devctl.control.client import Client
from devctl.control.http1 import quote
from devctl.errors import DevctlError, NotReady, NotRunning, StackError, UnknownService, UsageError
from devctl.model import SETTLED_WELL, Explanation, Health, ServiceState, ServiceStatus, StackState
from devctl.paths import MANIFEST_NAMES, StackPaths, find_manifest, runtime_root, stack_paths
from devctl.plan import LogSettings, Plan

if TYPE_CHECKING:
    from devctl.control.launch import Launched
    from devctl.control.teardown import Outcome
    from devctl.logs.record import Record

Given = str | os.PathLike[str]
"""A path as users give it."""

READY_TIMEOUT = 60.0  # seconds; twice the start_period that a service has by default
SHOWN_LINES = 10  # of a service's log in an exception: a traceback's end


class Service:
    """One service of a stack. Everything is asked when it is looked at, so it is as it is now.

    Raises (every member):
        NotRunning: the stack is not running.
        UnknownService: the stack was reloaded without it.
    """

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack = stack
        self.name = name

    def __repr__(self) -> str:
        return f"<Service {self.name} of {self._stack!r}>"

    @property
    def status(self) -> ServiceStatus:
        """All that is known about it."""
        return _status(self._stack.client.get(self._path()))

    @property
    def state(self) -> ServiceState:
        """Where it is."""
        return self.status.state

    @property
    def ready(self) -> bool:
        """Whether it is ready; for a one-shot: completed."""
        return self.state in SETTLED_WELL

    @property
    def url(self) -> str:
        """What people open. Raises StackError when it has neither a port nor a `url:`."""
        url = self.status.url
        if not url:
            raise StackError(f"{self.name} has no URL", "give it `port:` or `url:` in the manifest")
        return url

    @property
    def port(self) -> int:
        """The number of its `port:`. Raises StackError when it has none."""
        ports = self.ports
        if "default" not in ports:
            raise StackError(f"{self.name} has no `port:`", f"its named ports: {', '.join(ports) or 'none'}")
        return ports["default"]

    @property
    def ports(self) -> dict[str, int]:
        """All its ports by name; `port:` has the name "default"."""
        return dict(self.status.ports)

    def start(self, *, with_dependencies: bool = True) -> None:
        """Starts it; returns when that is under way."""
        self._stack.client.post(self._path("start"), {"with_dependencies": with_dependencies})

    def stop(self, *, with_dependents: bool = False) -> None:
        """Stops it; returns when none of its processes is left."""
        self._stack.client.post(self._path("stop"), {"with_dependents": with_dependents})

    def restart(self, *, with_dependents: bool = False) -> None:
        """Restarts it; returns when the old processes are gone and the new start is under way."""
        self._stack.client.post(self._path("restart"), {"with_dependents": with_dependents})

    def signal(self, name: str) -> None:
        """Sends a signal ("SIGHUP") to its process group."""
        self._stack.client.post(self._path("signal"), {"signal": name})

    def wait_ready(self, timeout: float = READY_TIMEOUT) -> None:
        """Waits until it is ready. Raises NotReady after `timeout` seconds, or as soon as it can no longer happen."""
        self._stack.wait_ready(self.name, timeout=timeout)

    def why(self) -> Explanation:
        """Why it is in the state it is in."""
        answer = self._stack.client.get(self._path("why"))
        return Explanation(
            service=answer["service"],
            state=ServiceState(answer["state"]),
            sentence=answer["sentence"],
            evidence=tuple((item["label"], item["text"]) for item in answer["evidence"]),
            chain=tuple(answer["chain"]),
        )

    def logs(
        self,
        *,
        tail: int | None = None,
        since: float | None = None,
        grep: str | None = None,
        level: str | None = None,
        stream: str | None = None,
    ) -> list[Record]:
        """What it has written in this run, oldest first; also after the stack has ended, while its log files are there.

        Args:
            tail: only the last so many lines.
            since: only lines from then on, in seconds since the epoch (`time.time()`).
            grep: only lines in which this regular expression is found.
            level: only lines of this level or worse ("warn").
            stream: "stdout" or "stderr".
        """
        from devctl.logs.query import read

        path, began = self._stack._log_of(self.name)
        first = began if since is None else max(began, int(since * 1e9))
        return list(read([(self.name, path)], tail=tail, since=first, grep=grep, level=level, stream=stream))

    def _path(self, what: str = "") -> str:
        return f"/v1/services/{quote(self.name)}" + (f"/{what}" if what else "")


class Stack:
    """A stack that this process runs, or (see `attach`) one that runs already. `stack["router"]` is a service, and `list(stack)`
    are the services' names.

    Args:
        manifest: a services.yaml, or several that are merged left to right, or a directory: the nearest one from there upwards,
            with the override beside it. By default the current directory. It is read by `start`.
        services: run only these and what they depend on.
        profiles: also run the services of these profiles.
        auto_ports: give every fixed port a free number, so that the stack gets in nobody's way.
        private: run beside other runs of the same manifest (your own `devctl up`, other test processes), with logs and runtime
            files of its own that go away with it.
        log_dir: where the logs go, and stay; by default as the manifest says or, when private, a temporary directory.

    Attributes:
        client: the control API, for what this class has no method for.
    """

    def __init__(
        self,
        manifest: Given | Sequence[Given] | None = None,
        *,
        services: Sequence[str] = (),
        profiles: Sequence[str] = (),
        auto_ports: bool = False,
        private: bool = False,
        log_dir: Given | None = None,
    ) -> None:
        self.manifests, self._nearest = _manifests(manifest)
        self._services = tuple(services)
        self._profiles = tuple(profiles)
        self._auto_ports = auto_ports
        self._private = private
        self._log_dir = None if log_dir is None else Path(log_dir).absolute()
        # 16 hex digits, as all stacks' directories have: `devctl ls` and `devctl reap` find it.
        self._paths = StackPaths(runtime_root() / secrets.token_hex(8)) if private else stack_paths(self.manifests[0])
        self.client = Client(self._paths.socket)
        self._launched: Launched | None = None
        self._temporary: Path | None = None
        self._names: tuple[str, ...] = ()
        self._logs: dict[str, Path] = {}
        self._log_since = 0
        self._lock = threading.RLock()

    @classmethod
    def attach(cls, manifest: Given | None = None) -> Stack:
        """The stack that runs for a manifest already. It is left running at the end of the block. Raises NotRunning."""
        stack = cls(manifest)
        stack._learn()
        return stack

    def __repr__(self) -> str:
        return f"<Stack of {self.manifests[0]}>"

    def __enter__(self) -> Stack:
        if not self._names:
            self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            self.close()
        except DevctlError:
            # The block's own exception says more than that its stack could not be ended cleanly.
            if error is None:
                raise

    def __getitem__(self, name: str) -> Service:
        if name not in self._names:
            known = ", ".join(self._names) or "none, it is not running"
            raise UnknownService(f"the stack has no service {name!r}", f"services: {known}")
        return Service(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def state(self) -> StackState:
        """Where the stack as a whole is; stopped when it is not running."""
        try:
            return StackState(self.client.get("/v1/status")["state"])
        except NotRunning:
            return StackState.STOPPED

    def start(self) -> None:
        """Starts the stack; returns when it can be asked, which is before its services are ready.

        Raises:
            ManifestError: with every problem in the manifest.
            StackBusy: it runs already; use `attach`, or `private`.
            PortBusy, SpawnError, LaunchError: it cannot be started.
        """
        from devctl.control.launch import launch

        with self._lock:
            if self._launched is not None:
                raise UsageError(f"{self!r} runs already", "close it first")
            try:
                self._launched = launch(self._plan(), self._paths, lease=True)
                _started.add(self)
                self._launched.wait_serving()
                self._learn()
            except BaseException:
                self.close()
                raise

    def wait_ready(self, *names: str, timeout: float = READY_TIMEOUT) -> None:
        """Waits until services are ready; all of them when none is named.

        Raises:
            NotReady: `timeout` seconds are over, or some can no longer become ready. It says why for each, with the last lines
                of its log.
        """
        answer = self.client.wait(names, "ready", timeout)
        if answer["done"]:
            return
        missing = [service["name"] for service in answer["services"] if service["state"] not in SETTLED_WELL]
        when = "and will not become so" if answer["impossible"] else f"after {timeout:g} s"
        raise NotReady(f"{', '.join(missing)}: not ready {when}", "\n".join(self._reason(name) for name in missing))

    def events(self, after: int | None = None) -> Iterator[dict[str, Any]]:
        """Events as they happen, until the stack ends: see `devctl.control.client.Client.events`."""
        return self.client.events(after)

    def close(self) -> None:
        """Ends what `start` began, and returns when none of its processes is left. Idempotent; an attached stack goes on.

        Raises:
            StackError: something could not be ended; it is named.
        """
        from devctl.control.teardown import teardown

        with self._lock:
            launched, self._launched = self._launched, None
            if launched is None:
                return
            try:
                outcome = teardown(self._paths)
            finally:
                launched.close()
            if not outcome.clean:
                raise StackError(*_left_over(outcome))
            if self._private:
                shutil.rmtree(self._paths.root, ignore_errors=True)
            if self._temporary is not None:
                shutil.rmtree(self._temporary, ignore_errors=True)

    def _plan(self) -> Plan:
        from devctl.manifest.graph import select, with_auto_ports
        from devctl.manifest.load import load

        # None has the loader look for the nearest one itself, and for the override beside it.
        files = None if self._nearest else self.manifests
        directory = self.manifests[0].parent
        plan = load(files, directory=directory, environ=os.environ, profiles=self._profiles, services=self._services)
        plan = select(plan, self._services)
        if self._auto_ports:
            plan = with_auto_ports(plan)
        if self._private and self._log_dir is None:
            self._temporary = self._log_dir = Path(tempfile.mkdtemp(prefix="devctl-"))
        return plan if self._log_dir is None else _with_log_dir(plan, self._log_dir)

    def _learn(self) -> None:
        """Asks once for what stays the same: names, and where the logs are (which can then be read after the end too)."""
        from devctl.logs.times import parse_time

        status = self.client.get("/v1/status")
        directory = Path(status["directory"])
        self._logs = {service["name"]: directory / service["log"] for service in status["services"]}
        self._names = tuple(self._logs)
        self._log_since = parse_time(status["started_at"])

    def _forget(self) -> None:
        """In a forked child: the stack is its parent's, and neither held nor ended from here."""
        launched, self._launched = self._launched, None
        if launched is not None:
            launched.close()

    def _log_of(self, name: str) -> tuple[Path, int]:
        return self._logs[name], self._log_since

    def _reason(self, name: str) -> str:
        service = self[name]
        lines = [f"{name}: {service.why().sentence}"]
        lines += [f"    {record.text}" for record in service.logs(tail=SHOWN_LINES)]
        return "\n".join(lines)


_started: weakref.WeakSet[Stack] = weakref.WeakSet()


def _forget_all() -> None:
    for stack in list(_started):
        stack._forget()


os.register_at_fork(after_in_child=_forget_all)


def _left_over(outcome: Outcome) -> tuple[str, str]:
    """What happened and what would mend it, for a teardown that was not clean."""
    left = [f"process {survivor.pid} ({survivor.command}): {survivor.reason}" for survivor in outcome.survivors]
    left += [f"port {port} is still listened on" for port in outcome.held_ports]
    return f"something of the stack is left: {'; '.join(left)}", "run `devctl reap`, or end it by hand"


def _manifests(given: Given | Sequence[Given] | None) -> tuple[list[Path], bool]:
    """The manifests' absolute paths, and whether they were looked for (then the loader looks for overrides too)."""
    paths = [Path(path).absolute() for path in ([given or "."] if given is None or isinstance(given, str | os.PathLike) else given)]
    if not paths:
        raise UsageError("an empty list of manifests", "name at least one, or give None for the nearest")
    if len(paths) > 1 or not paths[0].is_dir():
        return paths, False
    found = find_manifest(paths[0])
    if found is None:
        raise UsageError(f"there is no {MANIFEST_NAMES[0]} in {paths[0]} or above it", "name the manifest")
    return [found], True


def _with_log_dir(plan: Plan, directory: Path) -> Plan:
    def moved(settings: LogSettings) -> LogSettings:
        return dataclasses.replace(settings, dir=str(directory))

    services = {name: dataclasses.replace(spec, logging=moved(spec.logging)) for name, spec in plan.services.items()}
    return dataclasses.replace(plan, logging=moved(plan.logging), services=services)


def _status(data: Mapping[str, Any]) -> ServiceStatus:
    health = data["health"]
    return ServiceStatus(
        **{
            **data,
            "state": ServiceState(data["state"]),
            "health": None if health is None else Health(**health),
            "depends_on": tuple(data["depends_on"]),
        }
    )

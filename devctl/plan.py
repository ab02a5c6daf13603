"""The resolved plan: what the client hands to the supervisor.

The client reads and validates services.yaml; the supervisor gets this, so that it needs neither YAML nor pydantic. Everything is
resolved but what only the supervisor can know: the numbers of ports, and env files, which are read again at every start. Text
that mentions a port holds a *reference*, `\\0services.NAME.port\\0`: NUL can stand neither in an argument nor in an environment
value, so nothing has to be escaped.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

PLAN_VERSION = 1


class Condition(StrEnum):
    """What a dependent waits for. The list form of depends_on means HEALTHY, that is: ready."""

    STARTED = "service_started"
    HEALTHY = "service_healthy"
    COMPLETED = "service_completed_successfully"


@dataclass(frozen=True, slots=True)
class Dependency:
    """One edge: the service that has it waits for `service`."""

    service: str
    condition: Condition = Condition.HEALTHY
    restart: bool = False
    required: bool = True


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """GET (or `method`) `url`; passes when the status matches and `body`, a regex, is found. Redirects are not followed.

    `status` holds inclusive ranges: ((200, 299),).
    """

    url: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    status: tuple[tuple[int, int], ...] = ((200, 399),)
    body: str | None = None
    kind: str = "http"


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Passes when `address` ("host:port") accepts a connection."""

    address: str
    kind: str = "tcp"


@dataclass(frozen=True, slots=True)
class ExecProbe:
    """Passes when the command exits 0. Its whole tree dies with its timeout."""

    argv: tuple[str, ...]
    kind: str = "exec"


@dataclass(frozen=True, slots=True)
class LogProbe:
    """Passes once `pattern`, a regex, is found in a line of the service's own output."""

    pattern: str
    kind: str = "log"


@dataclass(frozen=True, slots=True)
class NotifyProbe:
    """Passes when the service sends READY=1 to NOTIFY_SOCKET (sd_notify(3))."""

    kind: str = "notify"


Probe = HttpProbe | TcpProbe | ExecProbe | LogProbe | NotifyProbe
PROBES: dict[str, type[Any]] = {
    "http": HttpProbe,
    "tcp": TcpProbe,
    "exec": ExecProbe,
    "log": LogProbe,
    "notify": NotifyProbe,
}


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """A probe and its rhythm. All times in seconds; `start_interval` None means the adaptive cadence."""

    probe: Probe
    interval: float = 1.0
    timeout: float = 2.0
    retries: int = 3
    start_period: float = 30.0
    start_interval: float | None = None


class RestartMode(StrEnum):
    """When a service that ended by itself is started again."""

    NO = "no"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"
    UNLESS_STOPPED = "unless-stopped"


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """`max_attempts` counts consecutive restarts (on-failure:N); None is without limit. Times in seconds."""

    mode: RestartMode = RestartMode.NO
    max_attempts: int | None = None
    initial: float = 0.2
    factor: float = 2.0
    max: float = 30.0
    reset_after: float = 60.0


@dataclass(frozen=True, slots=True)
class EnvFile:
    """An absolute path, read at every start of the service."""

    path: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Where and how much. `max_size` is bytes per file, `max_files` counts the current one and the rotated ones."""

    dir: str = "logs"
    max_size: int = 20_000_000
    max_files: int = 5


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """One service, resolved.

    Attributes:
        argv: executed as it is; a command that needs a shell is ("/bin/sh", "-c", …) already.
        command: as the user wrote it, for people.
        environment: what the manifest gives it (stack-wide values merged in), before env files of the same
            service are put underneath; may hold references.
        ports: name → number, None for `auto`. The `port:` key is the name "default".
        depends_on: edges, those to services outside the plan left out unless required.
        working_dir: absolute.
    """

    name: str
    argv: tuple[str, ...]
    command: str
    working_dir: str
    description: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    env_files: tuple[EnvFile, ...] = ()
    ports: Mapping[str, int | None] = field(default_factory=dict)
    url: str | None = None
    depends_on: tuple[Dependency, ...] = ()
    healthcheck: HealthCheck | None = None
    oneshot: bool = False
    restart: RestartPolicy = RestartPolicy()
    stop_signal: str = "SIGTERM"
    stop_grace_period: float = 10.0
    stop_command: tuple[str, ...] | None = None
    success_exit_codes: tuple[int, ...] = (0,)
    profiles: tuple[str, ...] = ()
    reuse: bool = False
    on_unhealthy: str = "none"
    logging: LogSettings = LogSettings()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole stack, ready to be run.

    Attributes:
        name: the stack's name.
        directory: absolute path of the manifest's directory.
        files: absolute paths of the manifests, in merge order.
        services: by name, dependencies before dependents.
        logging: the stack's own settings; `dir` is absolute in a plan.
        available: names that exist in the manifest but are not part of this plan (profiles).
    """

    name: str
    directory: str
    files: tuple[str, ...]
    services: Mapping[str, ServiceSpec]
    logging: LogSettings
    available: tuple[str, ...] = ()
    version: int = PLAN_VERSION


Ports = Mapping[str, Mapping[str, int]]
"""service → port name → number, all of them known."""

REFERENCE = re.compile("\0([^\0]+)\0")


def reference(path: str) -> str:
    """The text that stands for `path`, such as "services.router.port", until ports are known."""
    return f"\0{path}\0"


def split_reference(path: str) -> tuple[str, str]:
    """("router", "port") from "services.router.port"; the second is "port", "url" or "ports.NAME".

    Read from the right, as a service's name may hold dots; a port's name holds none and is neither "port" nor "url".
    """
    service, _, last = path.removeprefix("services.").rpartition(".")
    if last in ("port", "url"):
        return service, last
    return service.removesuffix(".ports"), f"ports.{last}"


def expand_text(text: str, ports: Ports, urls: Mapping[str, str]) -> str:
    """Puts port numbers and URLs in place of references. Unknown ones raise KeyError: the loader has checked them."""

    def value(match: re.Match[str]) -> str:
        service, rest = split_reference(match[1])
        if rest == "port":
            return str(ports[service]["default"])
        if rest == "url":
            return urls[service]
        return str(ports[service][rest.removeprefix("ports.")])

    return REFERENCE.sub(value, text) if "\0" in text else text


def expand(spec: ServiceSpec, ports: Ports, urls: Mapping[str, str]) -> ServiceSpec:
    """`spec` with every reference replaced and its own port numbers filled in."""

    def walk(value: Any) -> Any:
        if isinstance(value, str):
            return expand_text(value, ports, urls)
        if isinstance(value, tuple):
            return tuple(walk(item) for item in value)
        if isinstance(value, Mapping):
            return {key: walk(item) for key, item in value.items()}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.replace(value, **{f.name: walk(getattr(value, f.name)) for f in dataclasses.fields(value)})
        return value

    expanded: ServiceSpec = walk(spec)
    return dataclasses.replace(expanded, ports=dict(ports.get(spec.name, {})))


def expand_urls(plan: Plan, ports: Ports) -> dict[str, str]:
    """Every service's URL, references between URLs resolved. The loader has refused cycles."""
    urls: dict[str, str] = {}

    def url_of(name: str, seen: tuple[str, ...]) -> str:
        text = plan.services[name].url or ""
        for match in REFERENCE.finditer(text):
            other, rest = split_reference(match[1])
            if rest == "url" and other not in urls and other not in seen and other in plan.services:
                urls[other] = url_of(other, (*seen, other))
        return expand_text(text, ports, urls)

    for name, spec in plan.services.items():
        if spec.url:
            urls[name] = url_of(name, (name,))
    return urls


def to_json(plan: Plan) -> dict[str, Any]:
    """A plan as JSON values; `from_json` gives it back equal."""
    return dataclasses.asdict(plan)


def from_json(data: Mapping[str, Any]) -> Plan:
    """A plan from what `to_json` gave. Raises ValueError for another version."""
    if data.get("version") != PLAN_VERSION:
        raise ValueError(f"plan version {data.get('version')!r}, expected {PLAN_VERSION}")
    return Plan(
        name=data["name"],
        directory=data["directory"],
        files=tuple(data["files"]),
        services={name: _service(item) for name, item in data["services"].items()},
        logging=LogSettings(**data["logging"]),
        available=tuple(data["available"]),
    )


def _service(data: Mapping[str, Any]) -> ServiceSpec:
    check = data["healthcheck"]
    stop = data["stop_command"]
    return ServiceSpec(
        **{
            **data,
            "argv": tuple(data["argv"]),
            "env_files": tuple(EnvFile(**item) for item in data["env_files"]),
            "depends_on": tuple(Dependency(**{**item, "condition": Condition(item["condition"])}) for item in data["depends_on"]),
            "healthcheck": None if check is None else HealthCheck(**{**check, "probe": _probe(check["probe"])}),
            "restart": RestartPolicy(**{**data["restart"], "mode": RestartMode(data["restart"]["mode"])}),
            "stop_command": None if stop is None else tuple(stop),
            "success_exit_codes": tuple(data["success_exit_codes"]),
            "profiles": tuple(data["profiles"]),
            "logging": LogSettings(**data["logging"]),
        }
    )


def _probe(data: Mapping[str, Any]) -> Probe:
    values = dict(data)
    for key in ("headers", "status"):
        if key in values:
            values[key] = tuple(tuple(item) for item in values[key])
    if "argv" in values:
        values["argv"] = tuple(values["argv"])
    probe: Probe = PROBES[data["kind"]](**values)
    return probe

"""One service's values, as its table read them, made into a ServiceSpec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from devctl.manifest.command import BadCommand, Command, parse_command
from devctl.manifest.host import Host
from devctl.manifest.nodes import Mapping, Node, Scalar
from devctl.manifest.probes import read_probe
from devctl.manifest.relations import Edge, FileEntry, RestartRule, Variables
from devctl.manifest.source import Problems
from devctl.manifest.values import port_variable
from devctl.plan import (
    EnvFile,
    ExecProbe,
    HealthCheck,
    LogProbe,
    LogSettings,
    NotifyProbe,
    Probe,
    RestartMode,
    RestartPolicy,
    ServiceSpec,
    TcpProbe,
    reference,
)

NOTHING = Variables({}, ())


@dataclass(frozen=True, slots=True)
class Shared:
    """What all services have in common."""

    directory: str
    environment: Variables
    env_files: tuple[FileEntry, ...]
    logging: LogSettings
    host: Host
    lookup: Callable[[str], str | None]


@dataclass(frozen=True, slots=True)
class Built:
    """A service with the places that later problems point to."""

    spec: ServiceSpec
    place: Scalar
    node: Mapping
    edges: tuple[Edge, ...]
    files: tuple[FileEntry, ...]
    command: Command | None

    def where(self, *keys: str) -> Node:
        """The value under `keys`, or the nearest thing that exists."""
        found: Node = self.node
        for key in keys:
            value = found.get(key) if isinstance(found, Mapping) else None
            if value is None:
                break
            found = value
        return self.place if found is self.node else found


def build_service(place: Scalar, node: Node, values: dict[str, Any], shared: Shared, problems: Problems) -> Built:
    """A service from its values. After a problem the spec is still usable for the checks that look at all services."""
    mapping = node if isinstance(node, Mapping) else Mapping(place.source, place.line, place.column)
    name = place.text
    command = _command(place, node, values, problems)
    ports = _ports(mapping, values, problems)
    files = (*shared.env_files, *values.get("env_file", ()))
    oneshot = values.get("oneshot", False)
    healthcheck = _healthcheck(name, mapping, values, ports, oneshot, problems)
    working_dir = values.get("working_dir")
    spec = ServiceSpec(
        name=name,
        argv=command.argv if command else ("",),
        command=command.text if command else "",
        working_dir=shared.host.absolute(working_dir) if working_dir else shared.directory,
        description=values.get("description", ""),
        environment=_environment(shared, values.get("environment", NOTHING)),
        env_files=tuple(EnvFile(shared.host.absolute(file.path), file.required) for file in files),
        ports=ports,
        url=values.get("url") or (f"http://127.0.0.1:{reference(f'services.{name}.port')}" if "default" in ports else None),
        depends_on=tuple(edge.dependency for edge in values.get("depends_on", ())),
        healthcheck=healthcheck,
        oneshot=oneshot,
        restart=_restart(mapping, values, oneshot, problems),
        stop_signal=values.get("stop_signal", "SIGTERM"),
        stop_grace_period=values.get("stop_grace_period", 10.0),
        stop_command=_argv(mapping, "stop_command", values.get("stop_command"), problems),
        success_exit_codes=values.get("success_exit_codes") or (0,),
        profiles=values.get("profiles", ()),
        reuse=values.get("reuse", False),
        on_unhealthy=values.get("on_unhealthy", "none"),
        logging=read_logging(values.get("logging", {}), shared.logging, shared.host),
        labels=values.get("labels", NOTHING).values,
    )
    _check_reuse(spec, mapping, problems)
    return Built(spec, place, mapping, values.get("depends_on", ()), values.get("env_file", ()), command)


def read_logging(values: dict[str, Any], base: LogSettings, host: Host) -> LogSettings:
    """`base` with the settings of a `logging` key over it; the folder absolute."""
    return LogSettings(
        dir=host.absolute(values.get("dir", base.dir)),
        max_size=values.get("max_size", base.max_size),
        max_files=values.get("max_files", base.max_files),
    )


def _command(place: Scalar, node: Node, values: dict[str, Any], problems: Problems) -> Command | None:
    if not isinstance(node, Mapping):
        if isinstance(node, Scalar) and node.null:
            problems.add(place, f"service `{place.text}` is empty", "say what to run: command: python app.py")
        return None  # anything else was reported as no map
    if "command" not in node.entries:
        problems.add(place, f"service `{place.text}` has no `command`", "say what to run: command: python app.py")
    value = values.get("command")
    if not value:
        return None
    shell = values.get("shell")
    if shell and isinstance(value, tuple):
        problems.add(
            node.entries["shell"][0],
            "`shell` runs a command text, and this `command` is a list",
            "remove `shell`, or write `command` as a text",
        )
        return None
    try:
        return parse_command(value, shell)
    except BadCommand as error:
        problems.add(
            node.entries["command"][1], f"the command cannot be read: {error}", "close the quote, or escape it with a backslash"
        )
    return None


def _argv(node: Mapping, key: str, value: str | tuple[str, ...] | None, problems: Problems) -> tuple[str, ...] | None:
    if not value:
        return None
    try:
        return parse_command(value).argv
    except BadCommand as error:
        problems.add(node.entries[key][1], f"the command cannot be read: {error}", "close the quote, or escape it with a backslash")
    return None


def _environment(shared: Shared, own: Variables) -> dict[str, str]:
    merged = dict(shared.environment.values)
    for variables in (shared.environment, own):
        merged.update(variables.values)
        for name in variables.passed:
            value = shared.lookup(name)
            if value is not None:
                merged[name] = value
            else:
                merged.pop(name, None)
    return merged


def _ports(node: Mapping, values: dict[str, Any], problems: Problems) -> dict[str, int | None]:
    """0 stands for `auto` in the forms, None in a plan."""
    ports = {"default": values["port"]} if "port" in values else {}
    variables: dict[str, str] = {}
    named = node.get("ports")
    for name, number in values.get("ports", {}).items():
        variable = port_variable(name)
        if variable in variables and isinstance(named, Mapping):
            problems.add(
                named.entries[name][0], f"ports `{variables[variable]}` and `{name}` are both exported as {variable}", "rename one"
            )
        variables[variable] = name
        ports[name] = number
    return {name: number or None for name, number in ports.items()}


def _healthcheck(
    name: str, service: Mapping, values: dict[str, Any], ports: dict[str, int | None], oneshot: bool, problems: Problems
) -> HealthCheck | None:
    default = TcpProbe(f"127.0.0.1:{reference(f'services.{name}.port')}") if "default" in ports and not oneshot else None
    check = values.get("healthcheck")
    node = service.get("healthcheck")
    if check is None or not isinstance(node, Mapping):
        return HealthCheck(default) if default else None
    kind = read_probe(node, check, problems)
    if check.get("disable"):
        return None
    place = service.entries["healthcheck"][0]
    if oneshot:
        problems.add(
            place, "a oneshot has no healthcheck: it is ready when it has exited with success", "remove `healthcheck` or `oneshot`"
        )
        return None
    if kind is None and default is None:
        if node.entries:
            problems.add(place, "the healthcheck has no probe", "add http, tcp, exec, log or notify; or give the service a `port`")
        return None
    probe = _probe(kind, node, check, problems) if kind else default
    if probe is None:
        return None
    plain = HealthCheck(probe)
    return HealthCheck(
        probe=probe,
        interval=check.get("interval", plain.interval),
        timeout=check.get("timeout", plain.timeout),
        retries=check.get("retries", plain.retries),
        start_period=check.get("start_period", plain.start_period),
        start_interval=check.get("start_interval") or None,
    )


def _probe(kind: str, node: Mapping, check: dict[str, Any], problems: Problems) -> Probe | None:
    """The probe, None when its value was reported already."""
    value = check.get(kind)
    if value is None:
        return None
    if kind == "exec":
        argv = _argv(node, "exec", value, problems)
        return ExecProbe(argv) if argv else None
    if kind == "log":
        return LogProbe(value)
    if kind == "notify":
        return NotifyProbe()
    probe: Probe = value
    return probe


def _restart(node: Mapping, values: dict[str, Any], oneshot: bool, problems: Problems) -> RestartPolicy:
    rule = values.get("restart", RestartRule(RestartMode.NO, None))
    if oneshot and rule.mode in (RestartMode.ALWAYS, RestartMode.UNLESS_STOPPED):
        problems.add(
            node.entries["restart"][1],
            f"a oneshot is done when it exits with success, so it cannot restart `{rule.mode}`",
            "write on-failure",
        )
    plain = RestartPolicy()
    backoff = values.get("restart_backoff", {})
    initial = backoff.get("initial", plain.initial)
    longest = backoff.get("max", max(plain.max, initial))
    if longest < initial:
        problems.add(node.entries["restart_backoff"][0], "`max` is shorter than `initial`", "make it longer")
    return RestartPolicy(
        mode=rule.mode,
        max_attempts=rule.max_attempts,
        initial=initial,
        factor=backoff.get("factor", plain.factor),
        max=longest,
        reset_after=backoff.get("reset_after", plain.reset_after),
    )


def _check_reuse(spec: ServiceSpec, node: Mapping, problems: Problems) -> None:
    if not spec.reuse:
        return
    place = node.entries["reuse"][0]
    if spec.oneshot:
        problems.add(place, "a oneshot cannot be reused: it is no running instance", "remove `reuse` or `oneshot`")
    elif spec.healthcheck is None and not node.get("healthcheck"):
        problems.add(place, "`reuse` needs a way to see that an instance is healthy", "add a `port` or a `healthcheck`")
    elif spec.healthcheck and spec.healthcheck.probe.kind in ("log", "notify"):
        problems.add(
            place, f"`reuse` cannot ask another instance with a {spec.healthcheck.probe.kind} probe", "use http, tcp or exec"
        )

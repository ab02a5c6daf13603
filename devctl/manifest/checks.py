"""What can only be seen with all services at hand: names, cycles, ports, references, profiles, programs."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from devctl.manifest.build import Built
from devctl.manifest.graph import closure, order, port_key
from devctl.manifest.host import Host
from devctl.manifest.nodes import Node
from devctl.manifest.source import Problems, nearest, quoted
from devctl.manifest.substitute import locate, references
from devctl.plan import REFERENCE, Condition, RestartMode, split_reference

Services = Mapping[str, Built]


def check_dependencies(services: Services, problems: Problems) -> list[str]:
    """Reports unknown names, self-dependencies and cycles. Returns the names, dependencies first."""
    edges: dict[str, list[str]] = {}
    for name, built in services.items():
        edges[name] = []
        for dependency, place in built.edges:
            if dependency.service == name:
                problems.add(place, f"service `{name}` depends on itself", "remove it")
            elif dependency.service in services:
                edges[name].append(dependency.service)
                if dependency.condition is Condition.COMPLETED and _never_completes(services[dependency.service]):
                    policy = services[dependency.service].spec.restart.mode.value
                    problems.add(
                        place,
                        f"`{name}` waits for `{dependency.service}` to complete, which its `restart: {policy}` prevents",
                        f"make `{dependency.service}` a oneshot, give it another restart policy, or wait for service_healthy",
                    )
            elif dependency.required:
                help = nearest(dependency.service, list(services), otherwise="define it under `services`, or add required: false")
                problems.add(place, f"unknown service {quoted(dependency.service)}", help)
    ordered, cycles = order(edges)
    for cycle in cycles:
        last = services[cycle[-2]]
        place = next(edge.place for edge in last.edges if edge.dependency.service == cycle[-1])
        shown = cycle if len(cycle) <= 12 else [*cycle[:6], "…", *cycle[-5:]]
        problems.add(place, f"dependency cycle: {' → '.join(shown)}", "remove one of these dependencies")
    return ordered


def _never_completes(built: Built) -> bool:
    return not built.spec.oneshot and built.spec.restart.mode in (RestartMode.ALWAYS, RestartMode.UNLESS_STOPPED)


def enabled_services(services: Services, profiles: Collection[str], named: Collection[str]) -> set[str]:
    """Services without a profile, with an active one (`*` is every one), or named; and what the named ones need.

    Naming a service activates its profiles for its own dependencies, so that one name starts all of a tool, and no other.
    """
    active = set(profiles)
    enabled = {name for name, built in services.items() if _is_active(built, active)}
    for name in named:
        own = active | set(services[name].spec.profiles)
        reach = {
            other: [edge.service for edge in built.spec.depends_on]
            for other, built in services.items()
            if other == name or _is_active(built, own)
        }
        enabled |= closure(reach, [name])
    return enabled


def check_disabled(services: Services, enabled: Collection[str], problems: Problems) -> None:
    """Reports required dependencies on services that no active profile starts, as Compose does."""
    for name in services:
        if name not in enabled:
            continue
        for dependency, place in services[name].edges:
            other = services.get(dependency.service)
            if other and dependency.service not in enabled and dependency.required:
                profile = other.spec.profiles[0]
                problems.add(
                    place,
                    f"`{name}` depends on `{dependency.service}`, which starts with profile {' or '.join(other.spec.profiles)}",
                    f"add --profile {profile}, give `{name}` that profile too, or add required: false",
                )


def check_ports(services: Services, enabled: Collection[str], problems: Problems) -> None:
    """Reports a fixed port that two services of this run want, or one service twice."""
    taken: dict[int, tuple[str, Node]] = {}
    for name, built in services.items():
        if name not in enabled:
            continue
        for port, number in built.spec.ports.items():
            place = built.where("port") if port == "default" else built.where("ports", port)
            if number is None:
                continue
            if number in taken:
                other, first = taken[number]
                who = f"`{other}`" if other != name else f"`{name}` itself"
                problems.add(
                    place,
                    f"port {number} is taken by {who} ({first.source.shown}:{first.line}) already",
                    "choose another, or `auto`",
                )
            else:
                taken[number] = (name, place)


def check_references(root: Node | None, services: Services, enabled: Collection[str], problems: Problems) -> None:
    """Reports references to services, ports and URLs that do not exist, or that this run has no value for.

    `root` holds what all services share: their environment.
    """
    used = [*([root] if root else []), *(built.node for name, built in services.items() if name in enabled)]
    # What is not started needs no values yet: there, only the names must be right.
    idle = [built.node for name, built in services.items() if name not in enabled]
    for nodes, started in ((used, enabled), (idle, services)):
        for node in nodes:
            for scalar, path in references(node):
                if trouble := _reference_trouble(path, services, started):
                    problems.add(locate(scalar, f"${{{path}}}"), *trouble)
    _check_url_cycles(services, problems)


def check_programs(services: Services, enabled: Collection[str], host: Host, problems: Problems) -> None:
    """Reports programs and working directories that are not there.

    What stands behind a oneshot is let off where the oneshot may make it: a build writes the program and the directory.
    """
    edges = {name: [edge.service for edge in built.spec.depends_on] for name, built in services.items()}
    behind = _behind_tasks(services, edges)
    for name, built in services.items():
        if name not in enabled:
            continue
        spec = built.spec
        if name not in behind:
            host.check_directory(spec.working_dir, built.where("working_dir"), problems)
        program = built.command.program if built.command else None
        if program is None or "\0" in program:
            continue
        path = spec.environment.get("PATH")
        if path is None:
            for file in spec.env_files:
                path = host.env_file(file.path, False, built.place, problems).get("PATH", path)
        if "\0" in (path or "") or (name in behind and ("/" in program or path is not None)):
            continue
        host.check_program(program, path, spec.working_dir, built.where("command"), problems)


def _is_active(built: Built, profiles: Collection[str]) -> bool:
    own = built.spec.profiles
    return not own or "*" in profiles or any(profile in profiles for profile in own)


def _reference_trouble(path: str, services: Services, enabled: Collection[str]) -> tuple[str, str] | None:
    if path.count(".") < 2:
        return f"`${{{path}}}` is not known", "write ${services.NAME.port}, ${services.NAME.ports.X} or ${services.NAME.url}"
    name, last = split_reference(path)
    if path != f"services.{name}.{last}":
        end = path.rpartition(".")[2]
        return f"a service has no {quoted(end)} to refer to", "known are port, ports.NAME and url"
    if name not in services:
        return f"unknown service {quoted(name)}", nearest(name, list(services), otherwise="define it under `services`")()
    spec = services[name].spec
    if last == "url":
        return None if spec.url else (f"service `{name}` has no url", "give it a `port` or a `url`")
    key = port_key(last)
    if key not in spec.ports:
        if key == "default":
            return f"service `{name}` has no port", "give it a `port`"
        known = [port for port in spec.ports if port != "default"]
        return f"service `{name}` has no port named {quoted(key)}", nearest(key, known, otherwise="name it under `ports`")()
    if name not in enabled and spec.ports[key] is None:
        return f"service `{name}` is not started, so its port is not known", "activate its profile, or give it a fixed port"
    return None


def _check_url_cycles(services: Services, problems: Problems) -> None:
    edges: dict[str, list[str]] = {}
    for name, built in services.items():
        found = [split_reference(path) for path in REFERENCE.findall(built.spec.url or "")]
        edges[name] = [other for other, last in found if last == "url"]
    for cycle in order(edges)[1]:
        place = services[cycle[-2]].where("url")
        problems.add(place, f"urls refer to each other: {' → '.join(cycle[:12])}", "write one of them out")


def _behind_tasks(services: Services, edges: dict[str, list[str]]) -> set[str]:
    """Names with a task somewhere before them, in one pass over the services in dependency order."""
    behind: set[str] = set()
    for name in order(edges)[0]:
        for dependency in services[name].spec.depends_on:
            other = services.get(dependency.service)
            if other and (other.spec.oneshot or dependency.condition is Condition.COMPLETED or dependency.service in behind):
                behind.add(name)
                break
    return behind

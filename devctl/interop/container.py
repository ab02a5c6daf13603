"""What a service's labels say of its container.

devctl runs commands, so a manifest has no images. Its labels are for people and tools, and those below are for an export: a
service that has the label `container.image` has a container too.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TypeVar

from devctl.errors import ManifestError, Problem
from devctl.manifest.secrets import mask_argv, mask_value
from devctl.plan import REFERENCE, Plan, ServiceSpec, split_reference

PREFIX = "container."
LABELS = ("image", "command", "port", "ports", "volumes", "environment", "health", "network")
NETWORKS = ("host", "bridge", "none")

_PORT = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]*)\s*:\s*([0-9]+)")
_VOLUME = re.compile(r"([^:]+):(/[^:]*)(:[A-Za-z]+)?")
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # as Docker names volumes
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Container:
    """One service's container.

    Attributes:
        ports: port's name → number inside the container; that of `container.port` is "default".
        published: port's name → number on 127.0.0.1 of the machine: the service's fixed one, else the same as inside.
        volumes: `SOURCE:TARGET` or `SOURCE:TARGET:MODE`, as Compose writes them.
        environment: None is a value that comes from the environment of whoever starts the container.
        withheld: variables with a value that is secret by its name or shape, and therefore None.
        health: a command for the shell.
    """

    image: str
    command: tuple[str, ...] = ()
    ports: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)
    volumes: tuple[str, ...] = ()
    environment: Mapping[str, str | None] = field(default_factory=dict)
    withheld: tuple[str, ...] = ()
    health: str | None = None
    network: str | None = None

    @property
    def volume_names(self) -> tuple[str, ...]:
        """The sources that are no paths."""
        sources = (volume.partition(":")[0] for volume in self.volumes)
        return tuple(source for source in sources if _VOLUME_NAME.fullmatch(source))


def containers(plan: Plan) -> dict[str, Container]:
    """The services that have a container, in the plan's order.

    A reference to a port in a label becomes the number under which that is published, or which the service has on this machine.

    Raises:
        ManifestError: with every label that cannot be used.
    """
    problems: list[Problem] = []
    readers = {
        name: _Reader(spec, problems) for name, spec in plan.services.items() if spec.labels.get(f"{PREFIX}image", "").strip()
    }
    inside = {name: reader.ports() for name, reader in readers.items()}
    numbers = {
        name: {port: number or inside.get(name, {}).get(port) for port, number in spec.ports.items()}
        for name, spec in plan.services.items()
    }
    found = {}
    for name, reader in readers.items():
        published = {port: plan.services[name].ports.get(port) or number for port, number in inside[name].items()}
        container = reader.container(lambda text: _resolved(text, plan, numbers))
        found[name] = dataclasses.replace(container, ports=inside[name], published=published)
    problems += _collisions(found)
    if problems:
        raise ManifestError(problems)
    return found


class _Wrong(ValueError):
    """A label cannot be used: what is wrong, and what would mend it."""

    def __init__(self, message: str, help: str) -> None:
        super().__init__(message)
        self.help = help


class _Reader:
    """The labels of one service. What is wrong goes to `problems`."""

    def __init__(self, spec: ServiceSpec, problems: list[Problem]) -> None:
        self._name = spec.name
        self._declared = spec.ports
        self._labels = {key.removeprefix(PREFIX): text for key, text in spec.labels.items() if key.startswith(PREFIX)}
        self._problems = problems

    def ports(self) -> dict[str, int]:
        """Port's name → number inside the container."""
        ports = {"default": number} if (number := self._take("port", _port)) else {}
        for item in self._take("ports", _items) or []:
            if (match := _PORT.fullmatch(item)) is None:
                self._report("ports", f"`{item}` is not NAME:PORT", "such as: metrics:9100, admin:9000")
            elif match[1] not in self._declared:
                self._report("ports", f"the service has no port `{match[1]}`", f"add it: ports: {{{match[1]}: auto}}")
            elif number := self._take("ports", lambda _, text=match[2]: _port(text)):  # type: ignore[misc]
                ports[match[1]] = number
        if ports and (network := self._labels.get("network", "")) in ("host", "none"):
            help = "remove container.port and container.ports" + (": its ports are the machine's" if network == "host" else "")
            self._report("network", f"a container with network {network} publishes no ports", help)
        return ports

    def container(self, resolve: Callable[[str], str]) -> Container:
        """All but its ports. `resolve` puts numbers in place of references."""
        for key in self._labels:
            if key not in LABELS:
                near = get_close_matches(key, LABELS, n=1)
                help = f"did you mean `{PREFIX}{near[0]}`?" if near else f"known are {', '.join(LABELS)}"
                self._report(key, "there is no such label", help)
        environment = self._take("environment", lambda text: _environment(resolve(text))) or {}
        withheld = tuple(name for name, value in environment.items() if value and mask_value(name, value) != value)
        return Container(
            image=self._take("image", lambda text: resolve(text).strip()) or "",
            command=self._take("command", lambda text: _words(resolve(text))) or (),
            volumes=self._take("volumes", lambda text: tuple(_volume(item) for item in _items(resolve(text)))) or (),
            environment=environment | dict.fromkeys(withheld),
            withheld=withheld,
            health=self._take("health", lambda text: _script(resolve(text))),
            network=self._take("network", _network),
        )

    def _take(self, key: str, read: Callable[[str], T]) -> T | None:
        if not self._labels.get(key, "").strip():
            return None
        try:
            return read(self._labels[key])
        except _Wrong as wrong:
            self._report(key, str(wrong), wrong.help)
            return None

    def _report(self, key: str, message: str, help: str) -> None:
        self._problems.append(Problem("", 0, 0, f"service `{self._name}`, label `{PREFIX}{key}`: {message}", help))


def _resolved(text: str, plan: Plan, numbers: Mapping[str, Mapping[str, int | None]]) -> str:
    """`text` with a number for every reference. The loader has refused URLs that go in circles."""

    def value(match: re.Match[str]) -> str:
        service, last = split_reference(match[1])
        if last == "url":
            return _resolved(plan.services[service].url or "", plan, numbers)
        number = numbers[service].get("default" if last == "port" else last.removeprefix("ports."))
        if number is None:
            raise _Wrong(f"nobody knows the port of `{service}` before it starts", f"give `{service}` a fixed port")
        return str(number)

    return REFERENCE.sub(value, text)


def _split(text: str, separators: str) -> list[str]:
    """`text` at the separators that stand outside quotes."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters, lexer.escape = separators, True, "", ""
    try:
        return list(lexer)
    except ValueError:
        raise _Wrong("a quotation mark is not closed", "close it") from None


def _items(text: str) -> list[str]:
    return [item.strip() for item in _split(text, ",") if item.strip()]


def _words(text: str) -> tuple[str, ...]:
    words = _split(text, " \t\r\n")
    _hold_secrets(words)
    return tuple(words)


def _script(text: str) -> str:
    _hold_secrets(text.split())
    return text.strip()


def _hold_secrets(words: list[str]) -> None:
    # A word with a dollar is filled in inside the container.
    plain = ["-" if "$" in word else word for word in words]
    if mask_argv(plain) != plain:
        raise _Wrong("a secret would be written to the file", "hand it over as a variable, by its name in container.environment")


def _port(text: str) -> int:
    if not re.fullmatch(r"\s*[0-9]{1,5}\s*", text, re.ASCII) or not 1 <= int(text) <= 65535:
        raise _Wrong(f"`{text}` is no port", "a number from 1 to 65535")
    return int(text)


def _volume(text: str) -> str:
    match = _VOLUME.fullmatch(text)
    source = match[1] if match else ""
    if not _VOLUME_NAME.fullmatch(source) and not re.match(r"/|\.\.?(/|$)|~/", source):
        raise _Wrong(f"`{text}` is no volume", "NAME:/path, or ./directory:/path, or one of them with :ro")
    return text


def _environment(text: str) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for item in _items(text):
        name, equals, value = item.partition("=")
        if not _VARIABLE.fullmatch(name):
            raise _Wrong(f"`{name}` is no variable", 'NAME=value, separated by commas; "NAME=a,b" for a value that has one')
        found[name] = value if equals else None
    return found


def _network(text: str) -> str:
    if text not in NETWORKS:
        raise _Wrong(f"there is no network `{text}`", f"one of {', '.join(NETWORKS)}; without it, one that all containers share")
    return text


def _collisions(found: Mapping[str, Container]) -> list[Problem]:
    """Two containers that would be published under one number."""
    taken: dict[int, str] = {}
    problems = []
    for name, container in found.items():
        for number in container.published.values():
            if number in taken:
                message = f"service `{name}`: port {number} of 127.0.0.1 is published for `{taken[number]}` already"
                problems.append(Problem("", 0, 0, message, "give one of the two another fixed port"))
            taken[number] = name
    return problems

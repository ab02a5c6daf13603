"""Forms of a service's keys that are more than one plain value: ports, variables, dependencies, restart policy, signals."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import NamedTuple

from devctl.manifest.forms import Key, ListOf, Table, entries, guarded
from devctl.manifest.nodes import Mapping, Node, Scalar, describe
from devctl.manifest.nodes import Sequence as ListNode
from devctl.manifest.scalars import Broken, Choice, Flag, Number, Schema, Text, expect_scalar
from devctl.manifest.source import Problems, Wrong, nearest, quoted
from devctl.plan import Condition, Dependency, RestartMode

_PORT_HELP = "write a number from 1 to 65535, or auto for a free one"
_VARIABLE_NAME = r"[^=\s\0]{1,256}"


class Edge(NamedTuple):
    """A dependency and where it is written."""

    dependency: Dependency
    place: Scalar


class FileEntry(NamedTuple):
    """An env file as written, and where."""

    path: str
    required: bool
    place: Node


class Variables(NamedTuple):
    """Variables, and the names passed through from the caller; a name is in one of them."""

    values: dict[str, str]
    passed: tuple[str, ...]


@dataclass(frozen=True)
class Port:
    """A number, or `auto`, which is read as 0."""

    def read(self, node: Node, problems: Problems) -> int:
        text = expect_scalar(node, "a port", _PORT_HELP)
        if text == "auto":
            return 0
        if not re.fullmatch(r"[1-9]\d{0,9}", text, re.ASCII):
            raise Wrong(node, f"expected a port, found {quoted(text)}", _PORT_HELP)
        if int(text) > 65535:
            raise Wrong(node, f"{text} is no port: they go from 1 to 65535", _PORT_HELP)
        return int(text)

    def schema(self) -> Schema:
        return {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string", "pattern": r"^(auto|[1-9]\d*)$|\$"}]
        }

    def label(self) -> str:
        return "number or `auto`"


@dataclass(frozen=True)
class Environment:
    """KEY → value as a map, or a list of KEY=value; a bare KEY passes through. Labels have no pass-through."""

    labels: bool = False

    def read(self, node: Node, problems: Problems) -> Variables:
        values: dict[str, str] = {}
        passed: dict[str, None] = {}
        for name, place, value in self._pairs(node, problems):
            if not re.fullmatch(_VARIABLE_NAME, name):
                problems.add(place, f"{quoted(name)} is not a variable's name", "a name holds neither `=` nor spaces")
            elif value is not None:
                values[name] = value
                passed.pop(name, None)
            elif self.labels:
                values[name] = ""
            else:
                passed[name] = None
                values.pop(name, None)
        return Variables(values, tuple(passed))

    def _pairs(self, node: Node, problems: Problems) -> list[tuple[str, Node, str | None]]:
        pairs: list[tuple[str, Node, str | None]] = []
        form = Text("a value", references=True, empty=True)
        if isinstance(node, ListNode):
            for item in node.items:
                text = guarded(form, item, problems)
                if text is not None:
                    name, equals, value = text.partition("=")
                    pairs.append((name, item, value if equals else None))
            return pairs
        help = "write KEY: value lines, or a list of KEY=value"
        for name, (key, item) in entries(node, "labels" if self.labels else "environment", help).items():
            if isinstance(item, Scalar) and item.null:
                pairs.append((name, key, None))
            elif (text := guarded(form, item, problems)) is not None:
                pairs.append((name, key, text))
        return pairs

    def schema(self) -> Schema:
        value: Schema = {"type": ["string", "number", "boolean", "null"]}
        return {
            "anyOf": [{"type": ["object", "null"], "additionalProperties": value}, {"type": "array", "items": {"type": "string"}}]
        }

    def label(self) -> str:
        return "map or list"


ENV_FILE = Table(
    "an env file",
    (
        Key("path", Text("a path", max_length=4096), "The file."),
        Key("required", Flag(), "Whether it is an error when it is missing.", default="`true`"),
    ),
)


@dataclass(frozen=True)
class EnvFiles:
    """A path, or a list of paths and {path, required}."""

    def read(self, node: Node, problems: Problems) -> tuple[FileEntry, ...]:
        if isinstance(node, Scalar) and node.null:
            return ()
        found: tuple[FileEntry, ...] = ListOf(_EnvFile(), single=True, what="a path or a list").read(
            node if not isinstance(node, Mapping) else ListNode(node.source, node.line, node.column, [node]), problems
        )
        return found

    def schema(self) -> Schema:
        return {"anyOf": [_EnvFile().schema(), {"type": "array", "items": _EnvFile().schema()}, {"type": "null"}]}

    def label(self) -> str:
        return "path, map or list"


@dataclass(frozen=True)
class _EnvFile:
    def read(self, node: Node, problems: Problems) -> FileEntry | None:
        if not isinstance(node, Mapping):
            return FileEntry(Text("a path", max_length=4096).read(node, problems), True, node)
        values = ENV_FILE.read(node, problems)
        if "path" not in node.entries:
            raise Wrong(node, "an env file needs a `path`", "write {path: .env.local, required: false}")
        if "path" not in values:
            return None
        return FileEntry(values["path"], values.get("required", True), node.entries["path"][1])

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string", "minLength": 1}, {**ENV_FILE.definition(), "type": "object", "required": ["path"]}]}

    def label(self) -> str:
        return "path or map"


EDGE = Table(
    "a dependency",
    (
        Key("condition", Choice(tuple(Condition)), "What to wait for.", default="`service_healthy`"),
        Key("restart", Flag(), "Restart this service when the dependency restarts.", default="`false`"),
        Key("required", Flag(), "Whether the dependency must be part of the stack.", default="`true`"),
    ),
)


@dataclass(frozen=True)
class DependsOn:
    """A list of names, which gates on ready, or a map name → {condition, restart, required}."""

    def read(self, node: Node, problems: Problems) -> tuple[Edge, ...]:
        help = "write [name, …], or a map name: {condition: service_healthy}"
        if isinstance(node, Scalar) and not node.null:
            name = expect_scalar(node, "a list of services", help)
            raise Wrong(node, f"expected a list of services, found {quoted(name)}", f"write [{name}]" if len(name) < 64 else help)
        edges: dict[str, Edge] = {}
        if isinstance(node, ListNode):
            for item in node.items:
                name = guarded(Text("a service's name"), item, problems)
                if name is None:
                    continue
                if name in edges:
                    problems.add(item, f"`{name}` is listed twice", "remove one")
                elif isinstance(item, Scalar):
                    edges[name] = Edge(Dependency(name), item)
            return tuple(edges.values())
        for name, (key, value) in entries(node, "depends_on", help).items():
            try:
                values = EDGE.read(value, problems)
            except Broken:
                continue
            except Wrong as wrong:
                problems.add_wrong(wrong)
                continue
            condition = Condition(values.get("condition", Condition.HEALTHY))
            edges[name] = Edge(Dependency(name, condition, values.get("restart", False), values.get("required", True)), key)
        return tuple(edges.values())

    def schema(self) -> Schema:
        return {
            "anyOf": [
                {"type": "array", "items": {"type": "string", "minLength": 1}},
                {"type": ["object", "null"], "additionalProperties": EDGE.definition()},
            ]
        }

    def label(self) -> str:
        return "list or map"


class RestartRule(NamedTuple):
    """`max_attempts` is None without a limit."""

    mode: RestartMode
    max_attempts: int | None


@dataclass(frozen=True)
class Restart:
    """no, on-failure, on-failure:N, always, unless-stopped. YAML 1.1 reads a plain `no` as false, so that means no too."""

    def read(self, node: Node, problems: Problems) -> RestartRule:
        words = [mode.value for mode in RestartMode]
        help = "known are no, on-failure, on-failure:N, always, unless-stopped"
        text = expect_scalar(node, "a restart policy", help)
        if text.lower() in ("no", "false", "off"):
            return RestartRule(RestartMode.NO, None)
        word, colon, count = text.partition(":")
        if colon and word == RestartMode.ON_FAILURE and re.fullmatch(r"[1-9]\d{0,5}", count, re.ASCII):
            return RestartRule(RestartMode.ON_FAILURE, int(count))
        if text not in words:
            raise Wrong(node, f"{quoted(text)} is not a restart policy", nearest(text, words, otherwise=help))
        return RestartRule(RestartMode(text), None)

    def schema(self) -> Schema:
        words = [mode.value for mode in RestartMode]
        return {
            "anyOf": [
                {"enum": words},
                {"const": False},
                {"type": "string", "pattern": r"^on-failure:[1-9]\d*$|^([nN]o|NO|[oO]ff|OFF|[fF]alse|FALSE)$|\$"},
            ]
        }

    def label(self) -> str:
        return "`no`, `on-failure`, `on-failure:N`, `always` or `unless-stopped`"


@dataclass(frozen=True)
class Signal:
    """SIGTERM, TERM or 15, read as SIGTERM."""

    def read(self, node: Node, problems: Problems) -> str:
        text = expect_scalar(node, "a signal", "write a name such as SIGINT")
        if re.fullmatch(r"\d{1,2}", text, re.ASCII) and int(text) in set(signal.Signals):
            return signal.Signals(int(text)).name
        name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
        names = [known.name for known in signal.Signals]
        if name not in names:
            raise Wrong(node, f"{quoted(text)} is not a signal", nearest(name, names, otherwise="write a name such as SIGINT"))
        return name

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string", "pattern": r"^(SIG)?[A-Za-z0-9+-]+$|\$"}, Number(1, 64).schema()]}

    def label(self) -> str:
        return "signal"


@dataclass(frozen=True)
class Shell:
    """A shell's name, to which `-c` is added, or its whole argv as a list."""

    def read(self, node: Node, problems: Problems) -> tuple[str, ...]:
        if isinstance(node, ListNode):
            words: tuple[str, ...] = ListOf(Text("an argument")).read(node, problems)
            if not node.items:
                raise Wrong(node, "the shell is an empty list", "write bash, or [fish, -c]")
            return words
        text: str = Text("a shell", max_length=4096).read(node, problems)
        if not text.split():
            raise Wrong(node, f"expected a shell, found {describe(node)}", "write bash, or [fish, -c]")
        return (*text.split(), "-c")

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}

    def label(self) -> str:
        return "text or list"

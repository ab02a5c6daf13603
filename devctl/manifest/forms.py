"""Forms with parts: lists, maps with free keys, and tables of known keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from devctl.manifest.nodes import Mapping, Node, Scalar, describe
from devctl.manifest.nodes import Sequence as ListNode
from devctl.manifest.scalars import Broken, Form, Schema
from devctl.manifest.source import Problems, Wrong, nearest, quoted


@dataclass(frozen=True)
class ListOf:
    """A list; with `single`, one item may stand alone."""

    item: Form
    single: bool = False
    what: str = "a list"
    unique: bool = False

    def read(self, node: Node, problems: Problems) -> tuple[Any, ...]:
        if self.single and isinstance(node, Scalar) and not node.null:
            return (self.item.read(node, problems),)
        if isinstance(node, Scalar) and node.broken:
            raise Broken
        if not isinstance(node, ListNode):
            raise Wrong(node, f"expected {self.what}, found {describe(node)}", "write [a, b], or one `- item` a line")
        values: list[Any] = []
        for item in node.items:
            value = guarded(self.item, item, problems)
            if value is not None and not (self.unique and value in values):
                values.append(value)
        return tuple(values)

    def schema(self) -> Schema:
        items = self.item.schema()
        many: Schema = {"type": "array", "items": items}
        return {"anyOf": [items, many]} if self.single else many

    def label(self) -> str:
        return f"{self.item.label()} or list" if self.single else "list"


@dataclass(frozen=True)
class MapOf:
    """A map with free keys; `key` must match and `rule` says how."""

    value: Form
    key: str
    rule: str
    what: str = "a map"
    help: str = ""

    def read(self, node: Node, problems: Problems) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, (key, value) in entries(node, self.what, self.help).items():
            if not re.fullmatch(self.key, name):
                problems.add(key, f"{quoted(name)} cannot be used as a name here", self.rule)
            elif (result := guarded(self.value, value, problems)) is not None:
                values[name] = result
        return values

    def schema(self) -> Schema:
        return {
            "type": ["object", "null"],
            "patternProperties": {f"^({self.key})$": self.value.schema()},
            "additionalProperties": False,
        }

    def label(self) -> str:
        return "map"


@dataclass(frozen=True)
class Key:
    """One key of a table.

    Attributes:
        merge: how a later file's value meets an earlier one's: "replace", "append", "map" (by key), "names" (list or map,
            by name), "table" (as `form` says), "probe" (a new probe ousts the old).
        not_yet: a known word without a meaning so far.
    """

    name: str
    form: Form
    description: str
    merge: str = "replace"
    default: str = ""
    not_yet: bool = False


@dataclass(frozen=True)
class Table:
    """A map with known keys."""

    what: str
    keys: tuple[Key, ...]
    elsewhere: dict[str, str] = field(default_factory=dict)  # words people try → what to write instead
    ref: str = ""  # name under $defs, for tables used more than once
    free: bool = False  # whether x-… keys are the user's

    def read(self, node: Node, problems: Problems) -> dict[str, Any]:
        """Values of the keys that are there and right; the others are in `problems`."""
        values: dict[str, Any] = {}
        for name, (place, value) in entries(node, self.what).items():
            key = self.by_name.get(name)
            if key is None:
                if not (self.free and name.startswith("x-")):
                    problems.add(place, f"unknown key {quoted(name)} in {self.what}", self._help(name))
            elif key.not_yet:
                problems.add(place, f"`{name}` is not supported yet", "remove it for now")
            elif (result := guarded(key.form, value, problems)) is not None:
                values[name] = result
        return values

    def schema(self) -> Schema:
        return {"$ref": f"#/$defs/{self.ref}"} if self.ref else self.definition()

    def definition(self) -> Schema:
        """The schema itself, where `schema` may only point to it."""
        properties = {key.name: {"description": key.description, **key.form.schema()} for key in self.keys if not key.not_yet}
        result: Schema = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
        if self.free:
            result["patternProperties"] = {"^x-": {}}
        return result

    def label(self) -> str:
        return "map"

    @cached_property
    def by_name(self) -> dict[str, Key]:
        """The keys by their names."""
        return {key.name: key for key in self.keys}

    def _help(self, name: str) -> Callable[[], str] | str:
        if name in self.elsewhere:
            return self.elsewhere[name]
        names: Sequence[str] = [key.name for key in self.keys if not key.not_yet]
        return nearest(name, names, otherwise="known are " + ", ".join(names))


def entries(node: Node, what: str, help: str = "") -> dict[str, tuple[Scalar, Node]]:
    """A map's entries. Raises Wrong for anything else; nothing at all counts as an empty map."""
    if isinstance(node, Mapping):
        return node.entries
    if isinstance(node, Scalar):
        if node.broken:
            raise Broken
        if node.null:
            return {}
    raise Wrong(node, f"{what} must be a map, found {describe(node)}", help or "write `key: value` lines, indented")


def guarded(form: Form, node: Node, problems: Problems) -> Any:
    """`form.read`, its error reported; None stands for a value that could not be read."""
    try:
        return form.read(node, problems)
    except Wrong as wrong:
        problems.add_wrong(wrong)
    except Broken:
        pass
    return None

"""YAML as nodes that know where they stand in their file. Bounded: depth, number of nodes, and what aliases blow up to.

Scalars stay text: what a plain `no`, `22:22` or `1.10` means is for the key that holds it to say, so that none of YAML 1.1's
surprises (a country that is false, a port that is a number in base 60) can happen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import yaml

from devctl.manifest.source import Problems, Source, Spot, Wrong, check_characters, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

try:
    from yaml._yaml import CParser as _Composer
except ImportError:  # PyYAML was built without libyaml: the same hooks, twenty times slower
    from yaml.composer import Composer
    from yaml.parser import Parser
    from yaml.reader import Reader
    from yaml.scanner import Scanner

    class _Composer(Reader, Scanner, Parser, Composer):  # type: ignore[no-redef]
        def __init__(self, stream: str) -> None:
            Reader.__init__(self, stream)
            Scanner.__init__(self)
            Parser.__init__(self)
            Composer.__init__(self)


MAX_DEPTH = 60  # a manifest nests about 8 deep; libyaml recurses in C, where too deep is a crash
MAX_NODES = 250_000  # 10,000 services of 25 nodes; about half a second
MAX_EXPANDED = 1_000_000  # the same once every alias is written out
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_MERGE_TAGS = frozenset({"!reset", "!override"})
_STR_TAG = "tag:yaml.org,2002:str"
_CORE_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge"))


@dataclass(slots=True, eq=False)
class Scalar:
    """A text. `null` says it was written as nothing, `~` or null; `broken` that a problem about it was reported already."""

    source: Source
    line: int
    column: int
    text: str = ""
    null: bool = False
    quoted: bool = False
    tag: str | None = None
    broken: bool = False
    end_line: int = 0


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    source: Source
    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    tag: str | None = None


@dataclass(slots=True, eq=False)
class Mapping:
    """A map: text → (the key's node, the value's)."""

    source: Source
    line: int
    column: int
    entries: dict[str, tuple[Scalar, Node]] = field(default_factory=dict)
    tag: str | None = None

    def get(self, key: str) -> Node | None:
        entry = self.entries.get(key)
        return entry[1] if entry else None


Node = Scalar | Sequence | Mapping


def describe(node: Node) -> str:
    """What a node is, for "expected a number, found …"."""
    if isinstance(node, Mapping):
        return "a map" if node.entries else "an empty map"
    if isinstance(node, Sequence):
        return "a list" if node.items else "an empty list"
    if node.null:
        return "nothing"
    return quoted(node.text) if node.text else "an empty text"


def walk_scalars(root: Node) -> Iterator[Scalar]:
    """Every value scalar under `root` once, however often aliases mention it; not the keys."""
    seen: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, Scalar):
            yield node
        elif isinstance(node, Sequence):
            stack.extend(reversed(node.items))
        else:
            stack.extend(value for _, value in reversed(node.entries.values()))


def parse(source: Source, problems: Problems) -> Node | None:
    """The document in `source`; None when there is none or it is no YAML, which is then in `problems`.

    Duplicate keys, bad merges and foreign tags are reported and parsing goes on; `<<` merges are carried out.
    """
    try:
        check_characters(source)
        root = _compose(source)
        return None if root is None else _Converter(source, problems).convert(root)
    except Wrong as wrong:
        problems.add_wrong(wrong)
        return None


class _BoundedComposer(_Composer):
    """Composes without resolving tags (a regular expression per scalar, and the gotchas), counting as it goes."""

    def __init__(self, source: Source) -> None:
        super().__init__(source.text)
        self._manifest = source
        self._depth = 0
        self._count = 0

    def descend_resolver(self, parent: yaml.Node | None, index: object) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > MAX_DEPTH or self._count > MAX_NODES:
            mark = parent.start_mark if parent is not None else None
            place = Spot(self._manifest, mark.line + 1, mark.column + 1) if mark else Spot(self._manifest)
            if self._depth > MAX_DEPTH:
                raise Wrong(place, f"nested deeper than {MAX_DEPTH} levels", "a manifest needs about eight")
            raise Wrong(place, f"more than {MAX_NODES:,} values in one file", "split the stack")

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: object, value: object, implicit: object) -> None:
        return None


def _compose(source: Source) -> yaml.Node | None:
    try:
        composer = _BoundedComposer(source)
        root: yaml.Node | None = composer.get_single_node()
        return root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Spot(source, mark.line + 1, mark.column + 1) if mark else Spot(source)
        raise Wrong(place, *_explain(error, source, place)) from None
    except yaml.YAMLError as error:
        raise Wrong(Spot(source), f"is not YAML: {error}") from None


def _explain(error: yaml.MarkedYAMLError, source: Source, place: Spot) -> tuple[str, str]:
    """libyaml's message in the terms of someone who writes a manifest, and the mend."""
    problem = error.problem or "cannot be read"
    line = source.line_text(place.line)
    if "\t" in line[: len(line) - len(line.lstrip())] or line[place.column - 1 : place.column] == "\t":
        return "a tab, where YAML allows only spaces", "indent with spaces"
    if "mapping values are not allowed" in problem:
        return "a second `:` in a plain text, or wrong indentation", "put quotes around a text that holds `: `"
    if "expected a single document" in (error.context or "") or "single document" in problem:
        return "a second document starts here", "one file holds one manifest; remove the `---`"
    if "undefined alias" in problem:
        return "an alias to an anchor that does not exist", "define it above with &name"
    if "duplicate anchor" in problem:
        return "this anchor exists already", "give it another name"
    if "cannot start any token" in problem:
        return problem.replace("found character that", "this character"), "put quotes around the text"
    return f"not valid YAML: {problem}", "check indentation, quotes and brackets around here"


class _Converter:
    """yaml's nodes to ours, each once; aliases share the result."""

    def __init__(self, source: Source, problems: Problems) -> None:
        self._source = source
        self._problems = problems
        self._done: dict[int, tuple[Node, int]] = {}  # by id: our node, and its size with aliases written out
        self._open: set[int] = set()

    def convert(self, root: yaml.Node) -> Node:
        return self._convert(root)[0]

    def _convert(self, raw: yaml.Node) -> tuple[Node, int]:
        key = id(raw)
        if key in self._done:
            return self._done[key]
        line, column = raw.start_mark.line + 1, raw.start_mark.column + 1
        if isinstance(raw, yaml.ScalarNode):
            result: tuple[Node, int] = self._scalar(raw, line, column), 1
        else:
            if key in self._open:
                raise Wrong(Spot(self._source, line, column), "this anchor contains itself", "remove the alias inside it")
            self._open.add(key)
            tag = self._tag(raw.tag, line, column)
            if isinstance(raw, yaml.MappingNode):
                result = self._mapping(raw, line, column, tag)
            else:
                result = self._sequence(raw, line, column, tag)
            self._open.discard(key)
        if result[1] > MAX_EXPANDED:
            raise Wrong(
                Spot(self._source, line, column), f"aliases make this larger than {MAX_EXPANDED:,} values", "repeat fewer aliases"
            )
        self._done[key] = result
        return result

    def _scalar(self, raw: yaml.ScalarNode, line: int, column: int) -> Scalar:
        plain = not raw.style
        text: str = raw.value
        # "!" is how a composer marks a quoted scalar when it resolves nothing.
        tag = self._tag(raw.tag, line, column) if raw.tag and raw.tag != "!" else None
        if "\0" in text:
            self._problems.add(Spot(self._source, line, column), "a NUL character", "no program can be given one; remove it")
            text = text.replace("\0", "")
        null = plain and text in _NULLS and raw.tag != _STR_TAG
        return Scalar(self._source, line, column, text, null, not plain, tag, end_line=raw.end_mark.line + 1)

    def _sequence(self, raw: yaml.Node, line: int, column: int, tag: str | None) -> tuple[Node, int]:
        size = 1
        items = []
        for child in raw.value:
            node, count = self._convert(child)
            items.append(node)
            size += count
        return Sequence(self._source, line, column, items, tag), size

    def _mapping(self, raw: yaml.MappingNode, line: int, column: int, tag: str | None) -> tuple[Node, int]:
        size = 1
        mapping = Mapping(self._source, line, column, {}, tag)
        merges: list[Node] = []
        entries = mapping.entries
        for raw_key, raw_value in raw.value:
            key, _ = self._convert(raw_key)
            value, count = self._convert(raw_value)
            size += count + 1
            if not isinstance(key, Scalar):
                self._problems.add(key, "a key must be a text", "put quotes around it if it starts with [ or {")
            elif key.text == "<<" and not key.quoted:
                merges.append(value)
            elif key.text in entries:
                first = entries[key.text][0]
                self._problems.add(key, f"duplicate key {quoted(key.text)}", f"it stands in line {first.line} already; remove one")
            else:
                entries[key.text] = (key, value)
        for merge in merges:
            self._merge(mapping, merge)
        return mapping, size

    def _merge(self, mapping: Mapping, merge: Node) -> None:
        """`<<: *base`: keys that the map has win, and of several bases the first. The bases' sizes are counted already."""
        for base in merge.items if isinstance(merge, Sequence) else [merge]:
            if not isinstance(base, Mapping):
                self._problems.add(
                    base, f"`<<` merges maps, found {describe(base)}", "write <<: *anchor, or a list of such aliases"
                )
                continue
            for key, entry in base.entries.items():
                mapping.entries.setdefault(key, entry)

    def _tag(self, tag: str | None, line: int, column: int) -> str | None:
        """!reset and !override are Compose's; the core tags change nothing here; others would construct objects."""
        if tag is None or tag == "!" or tag in _CORE_TAGS:
            return None
        if tag in _MERGE_TAGS:
            return tag
        self._problems.add(
            Spot(self._source, line, column),
            f"the tag {quoted(tag)} is not supported",
            "remove it; only !reset and !override are known",
        )
        return None

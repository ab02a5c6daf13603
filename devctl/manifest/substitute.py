"""Variables put into a parsed manifest, with errors at the very `${…}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from devctl.errors import Problem
from devctl.manifest.interpolate import Interpolation, Lookup, Unresolved
from devctl.manifest.nodes import Mapping, Node, Scalar, walk_scalars
from devctl.manifest.source import Problems, Spot, Wrong, problem
from devctl.plan import REFERENCE

MAX_TOTAL = 20_000_000  # characters of all texts with their variables replaced: twenty of the biggest files

Warn = Callable[[Problem], None]


def substitute(root: Mapping, lookup: Lookup, stack: dict[str, str], problems: Problems, warn: Warn | None) -> None:
    """Replaces variables in every value under `root` but the user's own `x-…` keys; in place, as aliases share nodes."""
    total = 0
    for name, (_, node) in root.entries.items():
        if name.startswith("x-"):
            continue
        for scalar in walk_scalars(node):
            if "$" in scalar.text and not scalar.broken:
                _substitute_one(scalar, lookup, stack, problems, warn)
                total += len(scalar.text)
                if total > MAX_TOTAL:
                    raise Wrong(
                        scalar, "the manifest is larger than 20 MB once its variables are replaced", "use smaller variables"
                    )


def substitute_name(root: Mapping, lookup: Lookup, problems: Problems) -> str | None:
    """The `name` key with its variables replaced, ahead of everything else, which may say ${stack.name}."""
    node = root.get("name")
    if not isinstance(node, Scalar) or node.null:
        return None
    try:
        node.text = Interpolation(lookup).resolve(node.text)
    except Unresolved as error:
        _report(node, error, problems)
    return None if node.broken else node.text


def references(node: Node) -> Iterator[tuple[Scalar, str]]:
    """Every stack reference under `node`: the scalar it stands in, and its path such as "services.router.port"."""
    for scalar in walk_scalars(node):
        if "\0" in scalar.text:
            for match in REFERENCE.finditer(scalar.text):
                yield scalar, match[1]


def locate(scalar: Scalar, snippet: str, nth: int = 0) -> Spot:
    """Where the nth occurrence of `snippet` in a scalar stands in its file; the scalar's start when it is not found as it is."""
    column = scalar.column - 1
    for line in range(scalar.line, max(scalar.line, scalar.end_line) + 1):
        text = scalar.source.line_text(line)
        at = text.find(snippet, column)
        while at >= 0:
            if nth == 0:
                return Spot(scalar.source, line, at + 1)
            nth -= 1
            at = text.find(snippet, at + 1)
        column = 0
    return Spot(scalar.source, scalar.line, scalar.column)


def _substitute_one(scalar: Scalar, lookup: Lookup, stack: dict[str, str], problems: Problems, warn: Warn | None) -> None:
    original = scalar.text

    def unset(name: str, at: int) -> None:
        if warn:
            spot = _locate_offset(scalar, original, at, at + 2 + len(name))
            warn(problem(spot, f"variable `{name}` is not set; it becomes an empty text", f"set it, or write ${{{name}:-default}}"))

    try:
        text = Interpolation(lookup, stack=stack, on_unset=unset).resolve(original)
    except Unresolved as error:
        _report(scalar, error, problems)
        return
    if "\0" in REFERENCE.sub("", text):
        problems.add(scalar, "a variable's value holds a NUL character", "no program can be given one")
        scalar.broken = True
        return
    scalar.text = text


def _report(scalar: Scalar, error: Unresolved, problems: Problems) -> None:
    spot = _locate_offset(scalar, scalar.text, error.start, error.end)
    problems.add(spot, error.message, error.help)
    scalar.broken = True


def _locate_offset(scalar: Scalar, text: str, start: int, end: int) -> Spot:
    snippet = text[start : min(end, start + 40)].split("\n")[0]
    return locate(scalar, snippet, text.count(snippet, 0, start) if snippet else 0)

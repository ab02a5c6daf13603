"""`${…}` as Compose has it, and references to the stack itself. Text in, text out; knows nothing of YAML."""

from __future__ import annotations

import re
from collections.abc import Callable

from devctl.plan import reference

MAX_DEPTH = 20  # `${A:-${B:-…}}`: nobody nests deeper by hand
MAX_LENGTH = 1_000_000  # ten times what the kernel takes as one argument or variable (execve(2), 128 KiB)

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_REFERENCE = re.compile(r"(services\.[A-Za-z0-9_.-]+|stack\.[A-Za-z0-9_.-]*|stack|services|replica)(?=[}:?+-])", re.ASCII)
_OPERATOR = re.compile(r":-|-|:\?|\?|:\+|\+")

_LITERAL_HELP = "write $$ for a dollar sign"


class Unresolved(Exception):
    """A `${…}` that cannot be replaced. `start` and `end` are its offsets in the text."""

    def __init__(self, start: int, end: int, message: str, help: str) -> None:
        super().__init__(message)
        self.start = start
        self.end = end
        self.message = message
        self.help = help


Lookup = Callable[[str], str | None]


class Interpolation:
    """Replaces variables in texts.

    Args:
        lookup: a variable's value, None when it is not set.
        stack: values of `stack.…`; None refuses every reference to the stack.
        on_unset: called with the name and offset of a variable that is not set and became "".
        strict: whether `$` before anything else is an error. Env files are lenient: passwords hold dollars.
    """

    def __init__(
        self,
        lookup: Lookup,
        *,
        stack: dict[str, str] | None = None,
        on_unset: Callable[[str, int], None] | None = None,
        strict: bool = True,
    ) -> None:
        self._lookup = lookup
        self._stack = stack
        self._on_unset = on_unset
        self._strict = strict

    def resolve(self, text: str) -> str:
        """`text` with everything replaced, stack references as `plan.reference` writes them. Raises Unresolved."""
        if "$" not in text:
            return text
        result, _ = self._scan(text, 0, depth=0, live=True)
        return result

    def _scan(self, text: str, at: int, *, depth: int, live: bool) -> tuple[str, int]:
        """Text up to the end, or inside braces (depth > 0) to the closing one; `live` is false in a branch not taken."""
        parts: list[str] = []
        length = 0
        while at < len(text):
            stop = _next_stop(text, at, inner=depth > 0)
            piece = text[at:stop]
            if stop < len(text) and text[stop] == "$":
                value, at = self._dollar(text, stop, depth, live)
                piece += value
            else:
                at = stop
            parts.append(piece)
            length += len(piece)
            if length > MAX_LENGTH:
                raise Unresolved(0, len(text), "the text is larger than 1 MB once its variables are replaced", "")
            if stop < len(text) and text[stop] == "}" and depth:
                return "".join(parts), stop
        return "".join(parts), at

    def _dollar(self, text: str, at: int, depth: int, live: bool) -> tuple[str, int]:
        following = text[at + 1 : at + 2]
        if following == "$":
            return "$", at + 2
        if match := _NAME.match(text, at + 1):
            return self._plain(match[0], at, live), match.end()
        if following == "{":
            if depth >= MAX_DEPTH:
                raise Unresolved(at, at + 2, f"variables are nested deeper than {MAX_DEPTH}", "use fewer levels of defaults")
            return self._braced(text, at, depth, live)
        if not self._strict:
            return "$", at + 1
        raise Unresolved(at, at + 1, "`$` is followed by neither a name nor `{`", _LITERAL_HELP)

    def _plain(self, name: str, at: int, live: bool) -> str:
        value = self._lookup(name) if live else ""
        if value is None:
            if self._on_unset:
                self._on_unset(name, at)
            return ""
        return value

    def _braced(self, text: str, at: int, depth: int, live: bool) -> tuple[str, int]:
        if match := _REFERENCE.match(text, at + 2):
            return self._refer(text, at, match)
        name = _NAME.match(text, at + 2)
        if not name:
            raise Unresolved(at, at + 2, "`${` is not followed by a name", f"write ${{NAME}}, or {_LITERAL_HELP}")
        after = name.end()
        if text.startswith("}", after):
            return self._plain(name[0], at, live), after + 1
        operator = _OPERATOR.match(text, after)
        if not operator:
            if "}" not in text[after:]:
                raise Unresolved(at, after, f"`${{{name[0]}` is not closed", f"write ${{{name[0]}}}, or {_LITERAL_HELP}")
            raise Unresolved(
                at,
                after,
                f"`{text[after]}` cannot stand in `${{{name[0]}…}}`",
                "known are ${X:-default}, ${X:?message} and ${X:+alternate}",
            )
        value = self._lookup(name[0]) if live else ""
        present = value is not None and (value != "" or not operator[0].startswith(":"))
        kind = operator[0][-1]
        taken = live and (present if kind == "+" else not present)
        word, end = self._scan(text, operator.end(), depth=depth + 1, live=taken)
        if not text.startswith("}", end):
            raise Unresolved(at, after, f"`${{{name[0]}` is not closed", "close it with }")
        if kind == "?" and taken:
            state = "empty" if value == "" else "not set"
            raise Unresolved(
                at,
                end + 1,
                f"variable `{name[0]}` is {state}" + (f": {word}" if word else ""),
                f"set {name[0]} in the environment or in .env",
            )
        if kind == "+":
            return (word if taken else ""), end + 1
        return (word if taken else value or ""), end + 1

    def _refer(self, text: str, at: int, match: re.Match[str]) -> tuple[str, int]:
        path, end = match[1], match.end()
        if self._stack is None:
            raise Unresolved(at, end, f"`${{{path}}}` cannot be used here", "only variables can")
        if not text.startswith("}", end):
            raise Unresolved(at, end, f"`{path}` always has a value, so it takes no default", f"write ${{{path}}}")
        if path == "replica":
            raise Unresolved(at, end + 1, "`${replica}` is not supported yet", "name the services one by one")
        if path.startswith("services."):
            return reference(path), end + 1
        value = self._stack.get(path)
        if value is None:
            known = ", ".join(f"${{{name}}}" for name in self._stack)
            raise Unresolved(at, end + 1, f"`${{{path}}}` is not known", f"known are {known} and ${{services.NAME.port}}")
        return value, end + 1


def _next_stop(text: str, at: int, *, inner: bool) -> int:
    dollar = text.find("$", at)
    stop = len(text) if dollar < 0 else dollar
    if inner:
        brace = text.find("}", at, stop)
        stop = stop if brace < 0 else brace
    return stop

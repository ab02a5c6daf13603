"""Forms of single values. A form reads a node into a Python value, and says the same as JSON Schema.

One object does both, so that the loader and the schema editors complete from cannot disagree.
"""

from __future__ import annotations

import math
import re
import warnings
from dataclasses import dataclass
from typing import Any, Protocol

from devctl.manifest.nodes import Node, Scalar, describe
from devctl.manifest.source import Problems, Wrong, nearest, quoted
from devctl.manifest.values import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_size

Schema = dict[str, Any]
VARIABLE: Schema = {"type": "string", "pattern": r"\$"}  # any value may be written as ${VAR}
MAX_PATTERN = 4096  # characters in a regular expression; compiling is slower than linear


class Broken(Exception):
    """The value was reported already (its interpolation failed); nothing more is to be said about it."""


class Form(Protocol):
    """A kind of value."""

    def read(self, node: Node, problems: Problems) -> Any:
        """The value. Raises Wrong or Broken; forms with parts report those to `problems` and go on."""

    def schema(self) -> Schema:
        """What `read` accepts, as JSON Schema."""

    def label(self) -> str:
        """The form in a word or two, for the reference."""


def expect_scalar(node: Node, what: str, help: str = "", *, references: bool = False) -> str:
    """The text of a scalar. Raises Wrong for lists, maps, nothing, and stack references where none can be."""
    if not isinstance(node, Scalar) or node.null:
        if isinstance(node, Scalar) and node.broken:
            raise Broken
        raise Wrong(node, f"expected {what}, found {describe(node)}", help)
    if node.broken:
        raise Broken
    if "\0" in node.text and not references:
        raise Wrong(node, "a stack reference cannot be used here", "it has no value before the stack runs; use a variable, ${NAME}")
    return node.text


@dataclass(frozen=True)
class Text:
    """A text; `references` allows ${services.…}. `pattern` must match all of it and `rule` says it in words."""

    what: str = "a text"
    references: bool = False
    pattern: str = ""
    rule: str = ""
    max_length: int = 100_000  # under what the kernel takes as one argument, 128 KiB (execve(2))
    empty: bool = False

    def read(self, node: Node, problems: Problems) -> str:
        text = expect_scalar(node, self.what, self.rule, references=self.references)
        if not text and not self.empty:
            raise Wrong(node, f"expected {self.what}, found an empty text", self.rule)
        if len(text) > self.max_length:
            raise Wrong(node, f"longer than {self.max_length:,} characters", "shorten it")
        if self.pattern and not re.fullmatch(self.pattern, text):
            raise Wrong(node, f"{quoted(text)} is not {self.what}", self.rule)
        return text

    def schema(self) -> Schema:
        result: Schema = {"type": ["string", "number", "boolean"]}
        if self.pattern:
            result = {"type": ["string", "number"], "pattern": rf"^({self.pattern})$|\$"}
        elif not self.empty:
            result["minLength"] = 1
        return result

    def label(self) -> str:
        return "text"


@dataclass(frozen=True)
class Flag:
    """true or false; yes, no, on and off count too."""

    def read(self, node: Node, problems: Problems) -> bool:
        text = expect_scalar(node, "true or false").lower()
        if text in ("true", "yes", "on"):
            return True
        if text in ("false", "no", "off"):
            return False
        raise Wrong(node, f"expected true or false, found {describe(node)}")

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "boolean"}, {"enum": ["yes", "no", "on", "off", "true", "false"]}, VARIABLE]}

    def label(self) -> str:
        return "bool"


@dataclass(frozen=True)
class Number:
    """A whole number, or any when not `whole`, within bounds."""

    low: int
    high: int
    what: str = "a whole number"
    whole: bool = True
    help: str = ""

    def read(self, node: Node, problems: Problems) -> Any:
        text = expect_scalar(node, self.what, self.help)
        pattern = r"-?(0|[1-9]\d{0,15})" if self.whole else r"-?\d{1,15}(\.\d{1,15})?"
        if not re.fullmatch(pattern, text, re.ASCII):
            raise Wrong(node, f"expected {self.what}, found {quoted(text)}", self.help)
        value = int(text) if self.whole else float(text)
        if not self.low <= value <= self.high or not math.isfinite(value):
            raise Wrong(node, f"{text} is out of range: {self.what} from {self.low} to {self.high}", self.help)
        return value

    def schema(self) -> Schema:
        kind = "integer" if self.whole else "number"
        digits = {"type": "string", "pattern": r"^-?\d+(\.\d+)?$|\$"}
        return {"anyOf": [{"type": kind, "minimum": self.low, "maximum": self.high}, digits]}

    def label(self) -> str:
        return "number"


@dataclass(frozen=True)
class Duration:
    """A time such as `500ms`, read as seconds."""

    zero: bool = False

    def read(self, node: Node, problems: Problems) -> float:
        help = "write a number and a unit: 500ms, 1.5s, 1m30s, 2h"
        text = expect_scalar(node, "a duration", help)
        try:
            seconds = parse_duration(text)
        except ValueError:
            raise Wrong(node, f"{quoted(text)} is not a duration", help) from None
        if seconds == 0 and not self.zero:
            raise Wrong(node, "a duration of zero makes no sense here", help)
        if seconds > 31_536_000:
            raise Wrong(node, f"{quoted(text)} is longer than a year", help)
        return seconds

    def schema(self) -> Schema:
        forms: list[Schema] = [{"type": "string", "pattern": rf"{DURATION_PATTERN}|^0$|\$"}]
        return {"anyOf": [*forms, {"const": 0}]} if self.zero else forms[0]

    def label(self) -> str:
        return "duration"


@dataclass(frozen=True)
class Size:
    """An amount of bytes such as `20MB`."""

    low: int = 1000

    def read(self, node: Node, problems: Problems) -> int:
        help = "write a number and a unit: 500kB, 20MB, 1GiB"
        text = expect_scalar(node, "a size", help)
        try:
            count = parse_size(text)
        except ValueError:
            raise Wrong(node, f"{quoted(text)} is not a size", help) from None
        if not self.low <= count <= 10**15:
            raise Wrong(node, f"{quoted(text)} is out of range: a size from 1kB to 1000TB", help)
        return count

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string", "pattern": rf"{SIZE_PATTERN}|\$"}, {"type": "integer", "minimum": self.low}]}

    def label(self) -> str:
        return "size"


@dataclass(frozen=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, node: Node, problems: Problems) -> str:
        known = "known are " + ", ".join(self.words)
        text = expect_scalar(node, "one of " + ", ".join(self.words))
        if text not in self.words:
            raise Wrong(node, f"{quoted(text)} is not known here", nearest(text, self.words, otherwise=known))
        return text

    def schema(self) -> Schema:
        return {"anyOf": [{"enum": list(self.words)}, VARIABLE]}

    def label(self) -> str:
        return " or ".join(f"`{word}`" for word in self.words)


@dataclass(frozen=True)
class Regex:
    """A regular expression in Python's dialect; kept as text once it compiles."""

    def read(self, node: Node, problems: Problems) -> str:
        text = expect_scalar(node, "a regular expression", references=True)
        if not text or len(text) > MAX_PATTERN:
            raise Wrong(node, f"a regular expression has from 1 to {MAX_PATTERN} characters, this one {len(text)}")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # deprecated syntax is the author's business
                re.compile(text.replace("\0", ""))
        except (re.error, RecursionError, OverflowError) as error:
            raise Wrong(node, f"not a regular expression: {error}", "escape special characters with a backslash") from None
        return text

    def schema(self) -> Schema:
        return {"type": ["string", "number", "boolean"], "minLength": 1}

    def label(self) -> str:
        return "regex"

"""Arguments: the parser every command gets, and the value forms they share."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from typing import Any, NoReturn

from devctl.errors import UsageError

DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(us|ms|s|m|h|d)?")
UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}

Completer = str
"""What completes an argument: "services", "files", "directories"; choices complete themselves."""


def duration(text: str) -> float:
    """Seconds from `90`, `1.5s`, `500ms`, `1m30s`. Raises ArgumentTypeError."""
    position, total = 0, 0.0
    while position < len(text) and (match := DURATION.match(text, position)):
        total += float(match[1]) * UNITS[match[2]]
        position = match.end()
    if not text or position < len(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration (500ms, 10s, 1m30s)")
    return total


def count(text: str) -> int:
    """A whole number of 0 or more. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def regex(text: str) -> str:
    """A regular expression that compiles. Raises ArgumentTypeError."""
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from error
    return text


class CommandParser(argparse.ArgumentParser):
    """One command's options. The global ones are accepted after the command too.

    Attributes:
        declared: every option and argument in order, for completion.
        completers: destination → what completes its value.
    """

    def __init__(self, name: str, summary: str) -> None:
        self.declared: list[argparse.Action] = []
        self.completers: dict[str, Completer] = {}
        super().__init__(
            prog=f"devctl {name}".rstrip(), description=summary, allow_abbrev=False, conflict_handler="resolve", add_help=False
        )
        self.add_argument("-h", "--help", action="help", help="show this")
        add_globals(self)

    def add_argument(self, *names: Any, completer: Completer | None = None, **settings: Any) -> argparse.Action:
        """As argparse's; `completer` says what completes the value."""
        action = super().add_argument(*names, **settings)
        self.declared.append(action)
        if completer is not None:
            self.completers[action.dest] = completer
        return action

    def json(self) -> None:
        """Declares --json."""
        self.add_argument("--json", action="store_true", help="print JSON")

    def services(self, help: str, *, at_least: int = 0) -> None:
        """Declares SERVICE… as `services`."""
        self.add_argument("services", nargs="+" if at_least else "*", metavar="SERVICE", help=help, completer="services")

    def flag(self, *names: str, help: str) -> None:
        """Declares a switch that is off by default."""
        self.add_argument(*names, action="store_true", help=help)

    def value(
        self, *names: str, help: str, type: Callable[[str], Any] = str, metavar: str = "VALUE", default: Any = None,
        choices: tuple[str, ...] | None = None, completer: Completer | None = None, const: Any = None,
    ) -> None:  # fmt: skip
        """Declares an option with a value; with `const`, which it then is, the value may be left out."""
        self.add_argument(
            *names, type=type, help=help, default=default, choices=choices, completer=completer,
            metavar=metavar if choices is None else None, **({} if const is None else {"nargs": "?", "const": const}),
        )  # fmt: skip

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"{self.prog} --help shows what it takes")


def add_globals(parser: CommandParser) -> None:
    """Declares the options that every command has. A command with its own -f (follow) takes that letter over."""
    group = {"default": argparse.SUPPRESS}
    parser.add_argument("-f", "--file", action="append", dest="files", metavar="FILE", completer="files",
                        help="a manifest; again to merge another over it", **group)  # fmt: skip
    parser.add_argument("-C", "--directory", metavar="DIR", completer="directories", help="as if called there", **group)
    parser.add_argument("--profile", action="append", dest="profiles", metavar="NAME", help="also what is in this profile", **group)

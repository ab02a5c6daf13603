"""`devctl`: finds the command, gives it its arguments, and turns what happens into an exit status.

The parser is argparse, for its cost: importing Typer and building one command takes 41 ms here (0.28; 99 ms from 0.29 on, which
imports pydantic for every value), argparse 8 ms, and `status` in all may take 8 times the 8 ms of a bare interpreter.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from devctl.cli import table

if TYPE_CHECKING:
    from argparse import Namespace

    from devctl.errors import DevctlError

INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status. `argv` is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character gets an escape, never a traceback.
            stream.reconfigure(errors="backslashreplace")
    from devctl.errors import DevctlError

    try:
        status = dispatch(arguments)
        sys.stdout.flush()
        return status
    except DevctlError as error:
        report(error)
        return error.exit_status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has what it wanted. What is left in the buffer must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as ended:  # argparse's --help
        return ended.code if isinstance(ended.code, int) else 0


def open_standard_streams() -> None:
    """Gives a caller that has closed its standard streams /dev/null in their place: a socket must not become descriptor 1."""
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)
    # An interpreter that starts without a stream has None for it.
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def dispatch(arguments: list[str]) -> int:
    """Parses the global options, then imports and runs the command."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(table.help_text())
        return 0
    if arguments[0] == "--version":
        from devctl.version import __version__

        print(f"devctl {__version__}")
        return 0
    from devctl.cli.arguments import CommandParser

    head = CommandParser("", "")
    head.add_argument("--version", action="store_true")
    head.add_argument("command", nargs="?", default="")
    position = command_position(arguments)
    first = head.parse_args(arguments[: position + 1])
    if first.version:
        return dispatch(["--version"])
    return run(first.command, arguments[position + 1 :], first)


def run(name: str, arguments: list[str], first: Namespace) -> int:
    """Runs the command `name`; `first` holds the global options that stood before it."""
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.errors import UsageError

    command = table.find(name)
    if command is None:
        raise unknown_command(name)
    module = import_module(f"devctl.cli.{command.module}")
    parser = CommandParser(name, command.help)
    module.configure(parser, table.ALIASES.get(name, name))
    rest: list[str] | None = None
    if getattr(module, "TAKES_REST", False) and "--" in arguments:
        split = arguments.index("--")
        arguments, rest = arguments[:split], arguments[split + 1 :]
    args = parser.parse_args(arguments)
    args.name, args.rest = table.ALIASES.get(name, name), rest

    def both(option: str) -> list[str]:
        return [*getattr(first, option, []), *getattr(args, option, [])]

    directory = getattr(args, "directory", None) or getattr(first, "directory", None)
    where = Where.of(directory, both("files"), both("profiles"))
    if not name:
        raise UsageError("no command given", "devctl --help lists them")
    status: int = module.run(args, where)
    return status


def command_position(arguments: list[str]) -> int:
    """The index of the command: the first word that is neither a global option nor the value of one."""
    takes_value = {"-f", "--file", "-C", "--directory", "--profile"}
    position = 0
    while position < len(arguments) and arguments[position].startswith("-"):
        position += 2 if arguments[position] in takes_value else 1
    return position


def unknown_command(name: str) -> DevctlError:
    """What to say about a command that does not exist, or not yet."""
    from devctl.errors import UsageError

    if not name:
        return UsageError("no command given", "devctl --help lists them")
    if name in table.LATER:
        return UsageError(f"devctl {name} is not in this version", "devctl --help lists what is")
    import difflib

    near = difflib.get_close_matches(name, [*table.COMMANDS, *table.ALIASES], n=1)
    return UsageError(f"there is no command {name!r}", f"did you mean {near[0]}?" if near else "devctl --help lists them")


def report(error: DevctlError) -> None:
    """Prints `error: what` and, indented, what would mend it; a manifest's problems one after another."""
    from devctl.cli.style import Style
    from devctl.errors import ManifestError

    style = Style(sys.stderr)
    label = style.paint("error:", "red", "bold")
    problems = [str(problem) for problem in error.problems] if isinstance(error, ManifestError) else []
    if problems:
        text = "\n".join(f"{label} {problem}" for problem in problems)
    else:
        mend = "".join(f"\n  {line}" for line in error.mend.splitlines())
        text = f"{label} {error.what}{mend}"
    try:
        sys.stdout.flush()
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        pass

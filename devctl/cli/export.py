"""`devctl export`: the stack as another tool's file."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from argparse import Namespace
from typing import TYPE_CHECKING

from devctl.errors import StackError

if TYPE_CHECKING:
    from devctl.cli.arguments import CommandParser
    from devctl.cli.where import Where
    from devctl.plan import Plan

FORMATS = ("docker-compose",)
LATER = ("kubernetes", "systemd", "procfile")
"""Formats of the contract that this version does not write."""


def configure(parser: CommandParser, name: str) -> None:
    """Declares the options of `name`."""
    parser.add_argument("format", metavar="FORMAT", type=form, choices=FORMATS, help=" or ".join(FORMATS))
    parser.value("-o", "--output", help="write to this file in place of stdout", metavar="FILE", completer="files")


def form(text: str) -> str:
    """A format that can be written. Raises ArgumentTypeError."""
    if text in FORMATS:
        return text
    what = f"{text} is not in this version" if text in LATER else f"{text!r} is no format"
    raise argparse.ArgumentTypeError(f"{what}; devctl writes {', '.join(FORMATS)}")


def run(args: Namespace, where: Where) -> int:
    """Prints or writes the file; what the user should know of it goes to stderr."""
    from devctl.interop.compose import remarks, render

    plan = where.plan(check_commands=False)
    text = render(plan, command(plan, where))
    if args.output is None:
        print(text, end="")
        sys.stdout.flush()
    else:
        path = where.directory / args.output
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StackError(f"cannot write {path}: {error.strerror}", "name another file with -o") from error
    for remark in remarks(plan):
        print(remark, file=sys.stderr)
    return 0


def command(plan: Plan, where: Where) -> str:
    """What was called, as it can be called in the manifest's directory: the profiles of DEVCTL_PROFILES are options there."""
    files = [word for file in where.files for word in ("-f", os.path.relpath(file, plan.directory))]
    asked = [*where.profiles, *os.environ.get("DEVCTL_PROFILES", "").replace(",", " ").split()]
    profiles = [word for profile in dict.fromkeys(asked) for word in ("--profile", profile)]
    return shlex.join(["devctl", *files, *profiles, "export", *FORMATS])

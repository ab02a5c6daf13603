"""Command strings: whether they need a shell, and what is executed.

Grammar: the Shell Command Language of POSIX.1-2024, section 2, as far as it takes to tell one simple command from more.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from devctl.manifest.forms import ListOf
from devctl.manifest.nodes import Node, describe
from devctl.manifest.nodes import Sequence as ListNode
from devctl.manifest.scalars import Schema, Text, expect_scalar
from devctl.manifest.source import Problems, Wrong

MAX_WORDS = 10_000  # argv entries; no command line is written longer by hand

# Words that only a shell knows. `exec` in front of them fails or means something else.
_BUILTINS = frozenset(
    [
        ".",
        ":",
        "alias",
        "bg",
        "break",
        "cd",
        "command",
        "continue",
        "eval",
        "exec",
        "exit",
        "export",
        "fg",
        "getopts",
        "hash",
        "jobs",
        "local",
        "read",
        "readonly",
        "return",
        "set",
        "shift",
        "source",
        "times",
        "trap",
        "type",
        "ulimit",
        "umask",
        "unalias",
        "unset",
        "wait",
    ]
)
_RESERVED = frozenset(
    [
        "!",
        "[[",
        "{",
        "}",
        "case",
        "do",
        "done",
        "elif",
        "else",
        "esac",
        "fi",
        "for",
        "function",
        "if",
        "in",
        "select",
        "then",
        "time",
        "until",
        "while",
    ]
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=", re.ASCII)
_PARAMETER = re.compile(r"\$\{[^}'\"$`\\]*\}")
_PLAIN_WORD = re.compile(r"[^\s'\"\\$`*?\[~<>#]+")


class BadCommand(ValueError):
    """A command string that no shell would read."""


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed. `program` is the word to look for on PATH, None when only the shell can tell."""

    argv: tuple[str, ...]
    text: str
    program: str | None


def parse_command(value: str | tuple[str, ...], shell: tuple[str, ...] | None = None) -> Command:
    """The argv of `command:`.

    Args:
        value: as written; a tuple is argv already.
        shell: the start of the argv, `-c` included, when the user names one.

    Raises:
        BadCommand: an open quote, or nothing to execute.
    """
    if isinstance(value, tuple):
        return Command(value, shlex.join(value), value[0])
    text = value.strip()
    if shell:
        return Command((*shell, text), text, shell[0])
    needs_shell, simple = _scan(text)
    if not needs_shell:
        words = tuple(shlex.split(text))
        if not words or not words[0]:
            raise BadCommand("there is nothing to execute")
        if words[0] not in _BUILTINS | _RESERVED and not _ASSIGNMENT.match(words[0]):
            return Command(words, text, words[0])
    script, program = _with_exec(text) if simple else (text, None)
    return Command(("/bin/sh", "-c", script), text, program)


def _with_exec(text: str) -> tuple[str, str | None]:
    """`text`, one simple command, with `exec` before its program where that is safe; and the program when it is plain.

    Assignments stay in front: `A=1 exec program` exports A to the program in every POSIX shell.
    """
    at = 0
    while True:
        word = _word_end(text, at)
        if not _ASSIGNMENT.match(text, at):
            break
        while text[word : word + 1] in (" ", "\t"):
            word += 1
        at = word
        if at >= len(text):
            return text, None  # only assignments
    first = text[at:word]
    if not _PLAIN_WORD.fullmatch(first) or first in _BUILTINS | _RESERVED:
        return text, None
    return f"{text[:at]}exec {text[at:]}", first


def _word_end(text: str, at: int) -> int:
    while at < len(text) and text[at] not in " \t":
        if text[at] == "\\":
            at += 2
        elif text[at] in "'\"":
            at = _quote_end(text, at)[0]
        else:
            at += 1
    return min(at, len(text))


def _scan(text: str) -> tuple[bool, bool]:
    """Whether `text` needs a shell, and whether it is one simple command. Raises BadCommand for an open quote."""
    needs, simple, word_start = False, True, True
    at = 0
    while at < len(text):
        char = text[at]
        following = text[at + 1 : at + 2]
        if char in "'\"":
            at, expands = _quote_end(text, at)
            needs |= expands
            simple &= not expands or ("$(" not in text and "`" not in text)
            word_start = False
            continue
        if char == "\\":
            if not following:
                raise BadCommand("the backslash at the end escapes nothing")
            needs |= following == "\n"
            at += 2
            word_start = False
            continue
        if char in "|;()\n" or (char == "&" and text[at - 1 : at] not in (">", "<")):
            return _check_quotes(text, at), False
        if char == "<" and following == "<":
            return _check_quotes(text, at), False  # a here-document
        if char in "$`":
            needs = True
            if match := _PARAMETER.match(text, at):
                at = match.end() - 1
            elif char == "`" or following in ("(", "{"):
                # Substitutions nest, with quotes of their own; without exec they are right too, at the price of one process.
                simple = False
        elif char == "#" and word_start:
            return True, simple  # a comment to the end: quotes in it mean nothing
        elif char in "<>*?[" or (word_start and char == "~"):
            needs = True
        word_start = char in " \t"
        at += 1
    return needs, simple


def _check_quotes(text: str, at: int) -> bool:
    """Always True; raises BadCommand when a quote opened after `at` is never closed, unless a comment or text hides it."""
    rest = text[at:]
    if "#" in rest or "<<" in rest or "`" in rest or "$(" in rest:
        return True  # only the shell can tell what these hide
    while at < len(text):
        if text[at] == "\\":
            at += 2
        elif text[at] in "'\"":
            at = _quote_end(text, at)[0]
        else:
            at += 1
    return True


def _quote_end(text: str, at: int) -> tuple[int, bool]:
    """The offset after the quoted part that starts at `at`, and whether a shell would replace something in it."""
    quote = text[at]
    if quote == "'":
        end = text.find("'", at + 1)
        if end < 0:
            raise BadCommand("the quote ' is not closed")
        return end + 1, False
    expands = False
    at += 1
    while at < len(text):
        if text[at] == '"':
            return at + 1, expands
        if text[at] == "\\":
            # shlex keeps the backslash before these, a shell does not.
            expands |= text[at + 1 : at + 2] in ("$", "`", "\n")
            at += 1
        elif text[at] in "$`":
            expands = True
        at += 1
    raise BadCommand('the quote " is not closed')


@dataclass(frozen=True)
class CommandForm:
    """A command string, or argv as a list."""

    def read(self, node: Node, problems: Problems) -> str | tuple[str, ...]:
        if isinstance(node, ListNode):
            if not node.items:
                raise Wrong(node, "the command is an empty list", "write [program, argument, …]")
            if len(node.items) > MAX_WORDS:
                raise Wrong(node, f"a command of more than {MAX_WORDS:,} words", "put them into a file that the program reads")
            argv: tuple[str, ...] = ListOf(Text("an argument", references=True, empty=True)).read(node, problems)
            if len(argv) == len(node.items) and not argv[0]:
                raise Wrong(node.items[0], "the program's name is empty", "write [program, argument, …]")
            return argv if len(argv) == len(node.items) else ()
        text = expect_scalar(node, "a command (a text or a list)", "write command: program argument", references=True)
        if not text.strip():
            raise Wrong(node, f"the command is {describe(node)}", "write command: program argument")
        return Text("a command", references=True).read(node, problems)

    def schema(self) -> Schema:
        word: Schema = {"type": ["string", "number", "boolean"]}
        return {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "items": word, "minItems": 1}]}

    def label(self) -> str:
        return "text or list"

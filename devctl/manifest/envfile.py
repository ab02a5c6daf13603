"""Env files (`.env`), in Compose's dialect. Read by the loader, and by the supervisor at every start of a service.

    NAME=value            # a comment after a space
    export NAME=value     NAME: value
    NAME='taken as it is, over
    several lines'        NAME="with \\n, \\" and ${OTHER}"
    NAME                  passed through from the caller, if it is set there

`${VAR}`, `${VAR:-default}` and `$VAR` are replaced outside single quotes, from the caller's environment, then from the lines
above. A dollar before anything else stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from devctl.manifest.interpolate import Interpolation, Unresolved
from devctl.manifest.source import Problems, Source, Spot, Wrong, check_characters, quoted, read_source
from devctl.plan import EnvFile

_NAME = re.compile(r"[^\S\n]*(?:export[^\S\n]+)?([A-Za-z_][A-Za-z0-9_.-]*)[^\S\n]*", re.ASCII)
_SKIP = re.compile(r"(?:[^\S\n]*(?:#[^\n]*)?\n)+|[^\S\n]*(?:#[^\n]*)?\Z")
_REST = re.compile(r"[^\S\n]*(?:#[^\n]*)?(?:\n|\Z)")
_COMMENT = re.compile(r"(?:^|[^\S\n])#")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


def read_env_file(path: Path | str, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of one file, in its order.

    Args:
        path: the file; at most 1 MB, UTF-8.
        environ: what `${…}` and bare names are looked up in first.

    Raises:
        ManifestError: it is missing, unreadable or malformed; every problem with its line.
    """
    problems = Problems()
    variables: dict[str, str] = {}
    try:
        source = read_source(Path(path), str(path))
        check_characters(source)
        variables = parse_env(source, environ, problems)
    except Wrong as wrong:
        problems.add_wrong(wrong)
    problems.check()
    return variables


def read_env_files(files: Iterable[EnvFile], environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of several files, later ones winning; optional files may be missing. Raises ManifestError."""
    merged: dict[str, str] = {}
    for file in files:
        if file.required or Path(file.path).exists():
            merged.update(read_env_file(file.path, environ))
    return merged


def parse_env(source: Source, environ: Mapping[str, str], problems: Problems) -> dict[str, str]:
    """The variables of a file that was read; what is wrong goes to `problems`, and reading goes on at the next line."""
    return _Parser(source, environ, problems).parse()


class _Parser:
    def __init__(self, source: Source, environ: Mapping[str, str], problems: Problems) -> None:
        self._source = source
        self._text = source.text.replace("\r\n", "\n").replace("\r", "\n")
        self._environ = environ
        self._problems = problems
        self._variables: dict[str, str] = {}
        self._line, self._line_at = 1, 0
        self._interpolation = Interpolation(self._lookup, strict=False)

    def parse(self) -> dict[str, str]:
        at = 0
        while at < len(self._text):
            if skipped := _SKIP.match(self._text, at):
                at = skipped.end()
                continue
            try:
                at = self._assignment(at)
            except Wrong as wrong:
                self._problems.add_wrong(wrong)
                at = self._line_end(at) + 1
        return self._variables

    def _lookup(self, name: str) -> str | None:
        value = self._environ.get(name)
        return self._variables.get(name) if value is None else value

    def _assignment(self, at: int) -> int:
        match = _NAME.match(self._text, at)
        if not match:
            line = self._text[at : self._line_end(at)].strip()
            raise self._wrong(at, f"{quoted(line)} is not NAME=value", "a name holds letters, digits and _; start a comment with #")
        name, after = match[1], match.end()
        if _REST.match(self._text, after):
            if (value := self._environ.get(name)) is not None:
                self._variables[name] = value
            return self._line_end(after) + 1
        if self._text[after] not in "=:":
            raise self._wrong(after, f"expected `=` after `{name}`", "write NAME=value")
        after += 1
        while self._text[after : after + 1] in (" ", "\t"):
            after += 1
        value, end = self._value(after)
        self._variables[name] = value
        return end

    def _value(self, at: int) -> tuple[str, int]:
        quote = self._text[at : at + 1]
        if quote not in ("'", '"'):
            return self._bare(at)
        close = self._closing(at, quote)
        text = self._text[at + 1 : close]
        rest = _REST.match(self._text, close + 1)
        if not rest:
            raise self._wrong(close + 1, "text after the closing quote", f"remove it, or put it inside the {quote}")
        return (text if quote == "'" else self._expand(self._unescape(text), at)), rest.end()

    def _bare(self, at: int) -> tuple[str, int]:
        end = self._line_end(at)
        text = self._text[at:end]
        if comment := _COMMENT.search(text):
            text = text[: comment.start()]
        return self._expand(text.strip(), at), end + 1

    def _closing(self, at: int, quote: str) -> int:
        close = at + 1
        while True:
            close = self._text.find(quote, close)
            if close < 0:
                raise self._wrong(at, f"the quote {quote} is not closed", f"close it with {quote}")
            backslashes = len(self._text[at + 1 : close]) - len(self._text[at + 1 : close].rstrip("\\"))
            if quote == "'" or backslashes % 2 == 0:
                return close
            close += 1

    def _unescape(self, text: str) -> str:
        # `\$` becomes `$$`, which the interpolation that follows turns into one plain dollar.
        def value(match: re.Match[str]) -> str:
            return "$$" if match[1] == "$" else _ESCAPES.get(match[1], match[0])

        return re.sub(r"\\(.)", value, text, flags=re.DOTALL)

    def _expand(self, text: str, at: int) -> str:
        try:
            return self._interpolation.resolve(text)
        except Unresolved as error:
            raise self._wrong(at, error.message, error.help) from None

    def _line_end(self, at: int) -> int:
        end = self._text.find("\n", at)
        return len(self._text) if end < 0 else end

    def _wrong(self, at: int, message: str, help: str) -> Wrong:
        # Counted from the last place asked for: parsing only moves forward, so a file full of errors stays linear.
        if at < self._line_at:
            self._line, self._line_at = 1, 0
        self._line += self._text.count("\n", self._line_at, at)
        self._line_at = at
        column = at - (self._text.rfind("\n", 0, at) + 1) + 1
        return Wrong(Spot(self._source, self._line, column), message, help)

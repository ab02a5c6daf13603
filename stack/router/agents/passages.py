"""Documentation in pieces: Markdown files cut into passages that know the headings above them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from stack.common.log import Log

log = Log("stack.router.docs")

# Bounds on what is indexed at start-up; this project has a few dozen files of some ten kilobytes.
_MAX_FILES = 200
_MAX_FILE_BYTES = 1_000_000

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s*(```|~~~)")
_ROW = re.compile(r"\s*\|\s*(.*?)\s*\|")
_RULE = re.compile(r"\s*\|[\s:|-]+$")
_ITEM = re.compile(r"\s*([-*+]|\d+\.)\s")


@dataclass(frozen=True, slots=True)
class Passage:
    """A paragraph, list item, table row or code block.

    Attributes:
        section: the file and the headings above it: `docs/guide.md > Ports > Busy ports`.
        subject: what it is about in a few words: the nearest heading, and the first cell of a table row.
        text: as it stands in the file.
    """

    section: str
    subject: str
    text: str


def passages(file: str, markdown: str) -> Iterator[Passage]:
    """Cut a Markdown file into passages, in order. `file` is its name as people would write it."""
    headings: list[tuple[int, str]] = []
    for block in _blocks(markdown):
        if heading := _HEADING.match(block):
            level = len(heading[1])
            headings = [entry for entry in headings if entry[0] < level] + [(level, heading[2])]
            continue
        names = [name for _, name in headings]
        row = _ROW.match(block)
        subject = " ".join([*names[-1:], *([row[1]] if row else [])])
        yield Passage(" > ".join((file, *names)), subject, block)


def _blocks(markdown: str) -> Iterator[str]:
    """Headings and passages as text. A heading is always one line; `#` inside a code block is none."""
    block: list[str] = []
    fence = ""

    def finished() -> Iterator[str]:
        if block:
            yield "\n".join(block)
            block.clear()

    for line in markdown.splitlines():
        mark = _FENCE.match(line)
        if fence:
            block.append(line)
            # Only the mark that opened a code block closes it.
            if mark and mark[1] == fence:
                fence = ""
                yield from finished()
        elif mark:
            yield from finished()
            fence = mark[1]
            block.append(line)
        elif not line.strip():
            yield from finished()
        elif _RULE.match(line):
            # What stands above the rule of a table names its columns and says nothing.
            block.clear()
        elif _HEADING.match(line):
            yield from finished()
            yield line
        else:
            if _ITEM.match(line) or _ROW.match(line):
                yield from finished()
            block.append(line)
    yield from finished()


def read_passages(root: Path) -> list[Passage]:
    """The passages of README.md and of every Markdown file under docs/ of `root`. What cannot be read is logged and left out."""
    found: list[Passage] = []
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    for path in [path for path in files if path.is_file()][:_MAX_FILES]:
        try:
            with path.open("rb") as file:
                text = file.read(_MAX_FILE_BYTES).decode("utf-8", errors="replace")
        except OSError as error:
            log.warning(f"Cannot read {path}", reason=error.strerror)
            continue
        found.extend(passages(path.relative_to(root).as_posix(), text))
    return found

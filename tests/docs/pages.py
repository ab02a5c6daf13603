"""The pages of the documentation, taken apart: fences with the mark before them, links, headings, inline commands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>\w*)\s*$")
MARK = re.compile(r"^<!-- test: (?P<mark>.+) -->$")
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) +(.+?)\s*$")


@dataclass(frozen=True)
class Fence:
    """One block of code.

    Attributes:
        line: of its first line, 1-based.
        mark: what `<!-- test: … -->` in the line before says: "not run: REASON"; "" without.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str = ""

    @property
    def runs(self) -> bool:
        """Whether its commands are run."""
        return not self.mark.startswith("not run: ")

    @property
    def commands(self) -> list[tuple[str, bool]]:
        """For `console`: each command, and whether the output shown is that of a failure. For `sh`: the whole, which succeeds."""
        if self.language != "console":
            return [(self.text, False)]
        found: list[tuple[str, bool]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], False))
            elif found and line.startswith("error: "):
                found[-1] = (found[-1][0], True)
        return found


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def lines(self) -> list[str]:
        return self.path.read_text(encoding="utf-8").splitlines()

    @cached_property
    def fences(self) -> list[Fence]:
        """Every fence, in order."""
        found: list[Fence] = []
        opened: re.Match[str] | None = None
        start, mark = 0, ""
        for number, line in enumerate(self.lines, 1):
            match = FENCE.match(line)
            if opened is None:
                if match is not None:
                    opened, start = match, number + 1
                elif marked := MARK.match(line):
                    mark = marked["mark"]
                elif line.strip():
                    mark = ""
            elif match is not None and match["ticks"] == opened["ticks"] and not match["language"]:
                text = "\n".join(self.lines[start - 1 : number - 1]) + "\n"
                found.append(Fence(str(self), start, opened["language"], text, mark))
                opened, mark = None, ""
        assert opened is None, f"{self}:{start}: a fence without an end"
        return found

    @cached_property
    def prose(self) -> list[tuple[int, str]]:
        """The lines outside fences, with their numbers."""
        inside: set[int] = set()
        for fence in self.fences:
            inside.update(range(fence.line - 1, fence.line + len(fence.text.splitlines()) + 1))
        return [(number, line) for number, line in enumerate(self.lines, 1) if number not in inside]

    @cached_property
    def inline(self) -> list[tuple[int, str]]:
        """What stands between backticks."""
        return [(number, match[1]) for number, line in self.prose for match in INLINE.finditer(line)]

    @cached_property
    def links(self) -> list[tuple[int, str]]:
        """Where links and pictures lead."""
        return [(number, match[1]) for number, line in self.prose for match in LINK.finditer(INLINE.sub("", line))]

    @cached_property
    def anchors(self) -> set[str]:
        """What headings are called in addresses, as GitHub does it."""
        found: set[str] = set()
        for _, line in self.prose:
            if match := HEADING.match(line):
                plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", match[2])
                name = re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
                found.add(name if name not in found else next(f"{name}-{n}" for n in range(1, 100) if f"{name}-{n}" not in found))
        return found

    def section(self, title: str) -> str:
        """The text below a heading up to the next one of its rank or higher; "" when there is none."""
        rank, taken = 0, []
        outside = {number for number, _ in self.prose}
        for number, line in enumerate(self.lines, 1):
            match = HEADING.match(line) if number in outside else None
            if rank and match and len(match[1]) <= rank:
                break
            if rank:
                taken.append(line)
            elif match and match[2].strip("`") == title:
                rank = len(match[1])
        return "\n".join(taken)


PAGES = [Page(path) for path in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")))]


def page(name: str) -> Page:
    """The page with this path from the root."""
    return next(page for page in PAGES if str(page) == name)

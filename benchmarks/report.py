"""One line of the table, and the table."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "BENCHMARKS.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"


@dataclass(frozen=True)
class Row:
    """One measured thing.

    Attributes:
        what: what was measured, with its conditions.
        value: what devctl reached, with its unit.
        target: what it must reach; "" for a line that only informs.
        met: whether it did; None without a target.
        beside: what a peer or a floor reached in the same run, and the ratio devctl/it; "" when there is nothing to compare with.
    """

    what: str
    value: str
    target: str = ""
    met: bool | None = None
    beside: str = ""

    @property
    def verdict(self) -> str:
        return {True: "yes", False: "**no**", None: ""}[self.met]


def milliseconds(seconds: float) -> str:
    """A duration for people: 0.0123 → "12.3 ms"."""
    return f"{seconds * 1000:.1f} ms" if seconds < 0.1 else f"{seconds * 1000:.0f} ms"


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` % of the values do not exceed (nearest rank)."""
    ranked = sorted(values)
    return ranked[max(0, -(-len(ranked) * percent // 100).__int__() - 1)]


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def beside(name: str, value: str, ratio: float) -> str:
    """A comparison: what the other reached, and how many times that devctl is."""
    return f"{name} {value} (x {ratio:.2g})"


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table with aligned columns."""
    cells = [("what", "devctl", "target", "met", "beside it (ratio)")]
    cells += [(row.what, row.value, row.target, row.verdict, row.beside or "") for row in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(5)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def machine() -> str:
    """What the numbers depend on. No names and no paths."""
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 1_048_576
    kernel = ".".join(re.findall(r"\d+", platform.release())[:2])
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory:.0f} GiB memory, Linux {kernel} {platform.machine()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def write(rows: Sequence[Row], notes: Sequence[str], facts: str) -> None:
    """Puts the table between the markers of docs/BENCHMARKS.md."""
    text = DOCUMENT.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    body = [facts, "", table(rows), "", *(f"- {note}" for note in notes)]
    DOCUMENT.write_text(head + BEGIN + "\n" + "\n".join(body).rstrip() + "\n" + END + tail, encoding="utf-8")

"""The processes of the service as a tree."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from textual.content import Content

from devctl.dashboard.pages.paper import BUSY, DIM, STRONG, Paper, Part, clean, fit
from devctl.manifest.secrets import mask_argv
from devctl.wording import plural, seconds, size, timestamp

NARROW, WIDE = 48, 76  # cells: from here on with memory, and with age and state too
DEEPEST = 12  # levels that are indented; deeper ones stay there

Process = Mapping[str, Any]


def page(answer: Mapping[str, Any], width: int) -> Content:
    """One line a process, its command last.

    Args:
        answer: ProcessTree.json().
    """
    paper = Paper(width)
    processes = answer["processes"]
    if not processes:
        paper.note("The service has no processes now.")
        return paper.content()
    memory = sum(process["memory_bytes"] for process in processes)
    percent = sum(process["cpu_percent"] for process in processes)
    paper.line((f"{plural(answer['total'], 'process')}, {percent:.1f} % of a core, {size(memory)}", STRONG))
    columns = "    PID   CPU %" + ("    MEMORY" if width >= NARROW else "") + ("         AGE  STATE   " if width >= WIDE else "")
    paper.note(f"{columns}  COMMAND")
    for process, lead in walk(processes):
        _row(paper, process, lead)
    if answer["total"] > len(processes):
        paper.note(f"… and {answer['total'] - len(processes)} more")
    return paper.content()


def walk(processes: Sequence[Process]) -> Iterator[tuple[Process, str]]:
    """Every process once, children below their parents, with the lines that lead to it: "│ └ "."""
    known = {process["pid"] for process in processes}
    below: dict[int | None, list[Process]] = {}
    for process in processes:
        parent = process["ppid"]
        # A process that is its own parent does not exist; an answer that says so must not hang us.
        below.setdefault(parent if parent in known and parent != process["pid"] else None, []).append(process)
    stack = [(process, "", "") for process in reversed(below.get(None, []))]
    seen = set()
    while stack:
        process, own, further = stack.pop()
        if process["pid"] in seen:
            continue
        seen.add(process["pid"])
        yield process, own
        children = below.get(process["pid"], [])
        if len(further) >= 2 * DEEPEST:
            stack += [(child, f"{further}└ ", further) for child in reversed(children)]
            continue
        for index, child in reversed(list(enumerate(children))):
            last = index == len(children) - 1
            stack.append((child, further + ("└ " if last else "├ "), further + ("  " if last else "│ ")))


def _row(paper: Paper, process: Process, lead: str) -> None:
    parts: list[Part] = [f"{process['pid']:>7}", f"{process['cpu_percent']:>8.1f}"]
    if paper.width >= NARROW:
        parts.append(f"{size(process['memory_bytes']):>10}")
    if paper.width >= WIDE:
        began = process["started_at"]
        age = "" if began is None else seconds(float(int(max(0.0, time.time() - timestamp(began)))))
        asleep = process["state"] in ("sleeping", "idle")
        parts += [f"{age:>12}  ", (fit(clean(process["state"]), 8), DIM if asleep else BUSY)]
    command = mask_argv([clean(process["command"])])[0]
    adopted = (" (detached from its parent)", BUSY) if process["kind"] == "adopted" else ""
    paper.hang(Content.assemble(*parts, "  ", (lead, DIM)), (command, STRONG if process["kind"] == "main" else ""), adopted)

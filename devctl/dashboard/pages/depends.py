"""What the service needs and what needs it, as trees with states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from textual.content import Content

from devctl.dashboard.pages.paper import BAD, BUSY, DIM, GOOD, LABEL, STRONG, Paper, clean
from devctl.dashboard.pages.view import View
from devctl.model import ServiceState

S = ServiceState
# Lines of one tree; in a stack of hundreds everything hangs together, and nobody reads further.
LIMIT = 200
DEEPEST = 12  # levels that are indented; deeper ones stay there
COLOURS = {
    S.READY: GOOD,
    S.COMPLETED: GOOD,
    S.EXTERNAL: GOOD,
    S.FAILED: BAD,
    S.UNHEALTHY: BAD,
    S.STARTING: BUSY,
    S.BACKOFF: BUSY,
    S.STOPPING: BUSY,
}


def page(services: Mapping[str, View], name: str, width: int) -> Content:
    """Both trees of `name`, which is one of `services`."""
    paper = Paper(width)
    needs = {other: list(node.depends_on) for other, node in services.items()}
    needed: dict[str, list[str]] = {}
    for other, targets in needs.items():
        for target in targets:
            needed.setdefault(target, []).append(other)
    paper.line((clean(name), STRONG), " ", *_state(services.get(name)))
    for title, none, edges in (("needs", "nothing", needs), ("is needed by", "nobody", needed)):
        paper.blank()
        if not edges.get(name):
            paper.line((f"{title} {none}", LABEL))
            continue
        paper.line((title, LABEL))
        for other, lead, again in _tree(name, lambda at, edges=edges: edges.get(at, ())):  # type: ignore[misc]
            tail = [("  (as above)", DIM)] if again else []
            paper.hang(Content.assemble((lead, DIM)), clean(other), " ", *_state(services.get(other)), *tail)
    return paper.content()


def _tree(root: str, below: Callable[[str], Iterable[str]]) -> list[tuple[str, str, bool]]:
    """(name, the lines that lead to it, whether its branch was drawn before) of everything below `root`, depth first."""
    found: list[tuple[str, str, bool]] = []
    drawn = {root}

    def push(at: str, lead: str) -> list[tuple[str, str, str]]:
        names = list(below(at))
        last = len(names) - 1
        if len(lead) >= 2 * DEEPEST:
            return [(n, f"{lead}└ ", lead) for n in names][::-1]
        made = [(n, lead + ("└ " if i == last else "├ "), lead + ("  " if i == last else "│ ")) for i, n in enumerate(names)]
        return made[::-1]

    stack = push(root, "")
    while stack and len(found) < LIMIT:
        name, own, further = stack.pop()
        again = name in drawn
        found.append((name, own, again and any(True for _ in below(name))))
        if not again:
            drawn.add(name)
            stack += push(name, further)
    return found


def _state(node: View | None) -> list[tuple[str, str]]:
    if node is None:
        return [("not part of this run", DIM)]
    said = str(node.state.value)
    reason = node.reason if node.state not in (S.READY, S.COMPLETED) else None
    return [(said, COLOURS.get(node.state, DIM)), (f"  {clean(reason, 300)}" if reason else "", DIM)]

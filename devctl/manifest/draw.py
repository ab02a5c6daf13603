"""The dependency graph as text, Mermaid and Graphviz, for `devctl graph`."""

from __future__ import annotations

from collections.abc import Callable

from devctl.plan import Condition, Dependency, Plan

_WORDS = {Condition.STARTED: "started", Condition.HEALTHY: "ready", Condition.COMPLETED: "completed"}


def draw(plan: Plan, form: str = "text") -> str:
    """The graph in `text`, `mermaid` or `dot`, ending in a newline. Raises KeyError for another form."""
    return FORMS[form](plan)


def draw_text(plan: Plan) -> str:
    """A line for each service in starting order, with what it waits for.

    The number is the wave: services of one wave start together at best.
    """
    wave: dict[str, int] = {}
    lines = []
    width = max((len(name) for name in plan.services), default=0)
    for name, spec in plan.services.items():
        wave[name] = 1 + max((wave.get(edge.service, 0) for edge in spec.depends_on), default=0)
        waits = ", ".join(f"{edge.service} {_label(edge)}" for edge in spec.depends_on)
        lines.append((wave[name], f"{wave[name]:>3}  {name:<{width}}  {'after ' + waits if waits else ''}".rstrip()))
    lines.sort(key=lambda item: item[0])
    return "".join(f"{line}\n" for _, line in lines)


def draw_mermaid(plan: Plan) -> str:
    """A Mermaid flowchart; arrows point from a dependency to what waits for it."""
    ids = {name: f"s{index}" for index, name in enumerate(plan.services)}
    lines = ["flowchart LR"]
    for name, spec in plan.services.items():
        lines.append(f'    {ids[name]}(["{name}"])' if spec.oneshot else f'    {ids[name]}["{name}"]')
    for name, spec in plan.services.items():
        lines += [f"    {ids[edge.service]} -->|{_label(edge)}| {ids[name]}" for edge in spec.depends_on if edge.service in ids]
    return "\n".join(lines) + "\n"


def draw_dot(plan: Plan) -> str:
    """A Graphviz digraph; arrows point from a dependency to what waits for it."""
    # A service's name holds no quote or backslash; the stack's may only come from a directory, which is cleaned.
    lines = [f'digraph "{plan.name}" {{', "    rankdir=LR;", "    node [shape=box];"]
    for name, spec in plan.services.items():
        lines.append(f'    "{name}" [shape=ellipse];' if spec.oneshot else f'    "{name}";')
    for name, spec in plan.services.items():
        lines += [f'    "{edge.service}" -> "{name}" [label="{_label(edge)}"];' for edge in spec.depends_on]
    return "\n".join([*lines, "}"]) + "\n"


def _label(edge: Dependency) -> str:
    return _WORDS[edge.condition] + (", restart" if edge.restart else "")


FORMS: dict[str, Callable[[Plan], str]] = {"text": draw_text, "mermaid": draw_mermaid, "dot": draw_dot}

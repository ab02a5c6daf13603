"""Why the service is in its state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.content import Content

from devctl.dashboard.pages.paper import BAD, LABEL, STRONG, Paper, clean, clock
from devctl.dashboard.pages.view import View
from devctl.wording import plural, seconds

LABELS = 12  # cells of "root cause" and "left behind"
LOUD = {"root cause": BAD, "hint": "$text-warning"}


def page(answer: Mapping[str, Any], width: int, view: View | None) -> Content:
    """The sentence, what it hangs on, and the evidence.

    Args:
        answer: Explanation.json().
        view: the service's status.
    """
    paper = Paper(width)
    paper.line((clean(answer["sentence"]), STRONG))
    if view is not None and (facts := _facts(view)):
        paper.note(facts)
    chain = [clean(name) for name in answer["chain"]]
    if len(chain) > 1:
        paper.row("hangs on", " → ".join([*chain[:-1], ""]), (chain[-1], STRONG), labels=LABELS)
    evidence = [(clean(item["label"]), clean(item["text"])) for item in answer["evidence"]]
    if evidence:
        paper.blank()
    before = ""
    for label, text in evidence:
        # Of several lines of a log only the first is labelled: the rest reads as one piece.
        paper.row("" if label == before == "log" else label, text, labels=LABELS, style=LOUD.get(label, LABEL))
        before = label
    return paper.content()


def _facts(view: View) -> str:
    """What it is besides its state: "pid 120, up since 14:05:09, ready after 0.72 s, 2 restarts"."""
    facts = []
    if view.pid is not None:
        facts.append(f"pid {view.pid}")
        if view.started_at is not None:
            # Not for how long: that would be another page, and another layout of the screen, each second.
            facts.append(f"up since {clock(view.started_at)[:8]}")
        if view.startup_seconds is not None:
            facts.append(f"ready after {seconds(view.startup_seconds)}")
    if view.restarts:
        facts.append(plural(view.restarts, "restart"))
    if view.url:
        facts.append(clean(view.url))
    return ", ".join(facts)

"""What the service runs, where, and with which environment. Secrets are masked before anything else sees them."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from rich.cells import cell_len
from textual.content import Content

from devctl.dashboard.pages.paper import DIM, Paper, clean
from devctl.manifest.secrets import MASK, mask_argv, mask_environment

WIDEST, NARROWEST = 28, 16  # cells of a variable's name before it is cut, in a wide and in a narrow pane


def masked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The supervisor's answer without its secrets."""
    return {
        "environment": mask_environment(answer["environment"]),
        "argv": mask_argv(answer["argv"]),
        "working_dir": answer["working_dir"],
    }


def page(answer: Mapping[str, Any], width: int) -> Content:
    """Command, directory and variables.

    Args:
        answer: as `masked` gives it.
    """
    paper = Paper(width)
    variables = sorted(answer["environment"].items())
    paper.row("command", clean(shlex.join(answer["argv"])), labels=9)
    paper.row("directory", clean(answer["working_dir"]), labels=9)
    paper.blank()
    hidden = sum(MASK in value for _, value in variables)
    paper.note(f"{len(variables)} variables" + (f", {hidden} with secrets that are not shown" if hidden else ""))
    names = min(WIDEST if width >= 80 else NARROWEST, max((cell_len(clean(name)) for name, _ in variables), default=0))
    for name, value in variables:
        paper.row(clean(name), (clean(value), DIM if MASK in value else ""), labels=names)
    return paper.content()

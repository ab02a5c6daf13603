"""The start-up as a chart."""

from __future__ import annotations

import io
from typing import Any
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from devctl.cli import gantt
from devctl.cli.style import Style, cells

TIMES = st.floats(0, 100, allow_nan=False)


@st.composite
def entries(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Entries as they can be: waiting, then started, then ready, or not so far."""
    made = []
    for index in range(draw(st.integers(0, 6))):
        moments = sorted(draw(st.lists(TIMES, min_size=3, max_size=3)))
        far = draw(st.integers(1, 3))
        made.append(
            {
                "service": f"s{index}<&", "waiting_from": moments[0], "started": moments[1] if far > 1 else None,
                "ready": moments[2] if far > 2 else None, "state": draw(st.sampled_from(["ready", "starting", "failed"])),
                "depends_on": [], "critical": draw(st.booleans()),
            }
        )  # fmt: skip
    return made


@given(entries(), st.integers(60, 200))
def test_text_fits_and_names_every_service(chart: list[dict[str, Any]], width: int) -> None:
    """One line a service, none wider than the terminal."""
    lines = gantt.text(chart, Style(io.StringIO()), width)
    for entry, line in zip(chart, lines, strict=False):
        assert line.startswith(entry["service"])
        assert cells(line) <= width


@given(entries())
def test_svg_is_well_formed(chart: list[dict[str, Any]]) -> None:
    """The picture is XML whatever the services are called."""
    root = ElementTree.fromstring(gantt.svg(chart, "a <stack> & co"))
    assert root.tag.endswith("svg")

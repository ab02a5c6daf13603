"""docs/dashboard.md lists every key as it is."""

from __future__ import annotations

from devctl.dashboard import keys
from tests.docs.pages import ROOT


def table() -> str:
    """The tables of keys, as they stand between the page's markers."""
    lines = []
    for group, rows in keys.GROUPS.items():
        lines += [f"**{group}**", "", "| keys | command | what it does |", "|---|---|---|"]
        for row in rows:
            shown = " ".join(f"`{keys.display(key)}`" for key in row.keys.split(","))
            lines.append(f"| {shown} | `{row.id}` | {row.words} |")
        lines.append("")
    return "\n".join(lines)


def test_every_key_is_listed() -> None:
    """With its command's name and what it does."""
    text = (ROOT / "docs" / "dashboard.md").read_text()
    assert text.partition("<!-- keys: begin -->\n")[2].partition("<!-- keys: end -->")[0] == table()

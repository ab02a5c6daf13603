"""Tables: aligned columns that fit the terminal, or plain ones for a pipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from devctl.cli.live import plain
from devctl.cli.style import Style, cells, fit, pad

GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        title: its heading.
        right: aligned to the right, as numbers are.
        shrinks: loses width first when the table is wider than the terminal, down to `least` cells.
        drop: columns with a higher number go first when shrinking is not enough; 0 always stays.
    """

    title: str
    right: bool = False
    shrinks: bool = False
    drop: int = 0
    least: int = 12


def render(columns: Sequence[Column], rows: Sequence[Sequence[str]], style: Style, width: int) -> list[str]:
    """The lines of a table.

    Args:
        columns: what they are.
        rows: the cells; may hold colours.
        style: of the stream; headings are dim on a terminal. In a pipe nothing is cut.
        width: of the terminal, in cells.
    """
    kept = [index for index, column in enumerate(columns) if column.drop == 0 or any(row[index] for row in rows)]
    widths = {index: max(cells(plain(row[index])) for row in [[c.title for c in columns], *rows]) for index in kept}
    if style.terminal:
        _narrow(columns, kept, widths, width)
    out = [_line(columns, kept, widths, [style.paint(column.title, "dim") for column in columns])]
    out += [_line(columns, kept, widths, row) for row in rows]
    return out


def _narrow(columns: Sequence[Column], kept: list[int], widths: dict[int, int], width: int) -> None:
    def excess() -> int:
        return sum(widths[index] for index in kept) + len(GAP) * (len(kept) - 1) - width

    while excess() > 0:
        able = [index for index in kept if columns[index].shrinks and widths[index] > columns[index].least]
        if able:
            widest = max(able, key=lambda index: widths[index])
            widths[widest] -= min(excess(), widths[widest] - columns[widest].least)
            continue
        droppable = [index for index in kept if columns[index].drop]
        if not droppable:
            return
        kept.remove(max(droppable, key=lambda index: columns[index].drop))


def _line(columns: Sequence[Column], kept: Sequence[int], widths: dict[int, int], row: Sequence[str]) -> str:
    parts = []
    for index in kept:
        text = row[index]
        bare = plain(text)
        if cells(bare) > widths[index]:
            # A coloured cell is one colour as a whole, so what is cut keeps its two ends.
            text = text.replace(bare, fit(bare, widths[index]))
            bare = fit(bare, widths[index])
        space = " " * (widths[index] - cells(bare))
        parts.append(space + text if columns[index].right else text + space)
    return GAP.join(parts).rstrip()


def key_values(pairs: Sequence[tuple[str, str]], style: Style, indent: str = "  ") -> list[str]:
    """Lines of `label  text`, the labels aligned; a text of several lines is indented as a whole."""
    width = max((cells(label) for label, _ in pairs), default=0)
    out = []
    for label, text in pairs:
        first, *rest = text.split("\n")
        out.append(f"{indent}{style.paint(pad(label, width), 'dim')}  {first}".rstrip())
        out += [f"{indent}{' ' * width}  {line}".rstrip() for line in rest]
    return out

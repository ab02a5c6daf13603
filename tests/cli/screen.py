"""A terminal's screen, as far as devctl's live lines need one: enough of ECMA-48 to see what a person would see."""

from __future__ import annotations

import re

TOKEN = re.compile(r"\x1b\[\??([0-9;]*)([A-Za-z])|(.)", re.DOTALL)


class Screen:
    """Unlimited rows. Long lines wrap at `columns`."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[str] = [""]
        self.row = self.column = 0

    def feed(self, text: str) -> None:
        """Takes what a program writes."""
        for match in TOKEN.finditer(text):
            number, command, char = match.groups()
            if char is not None:
                self._put(char)
            elif command == "A":
                self.row = max(0, self.row - int(number or 1))
            elif command == "J":
                self._cut()
                del self.rows[self.row + 1 :]
            elif command == "K":
                self._cut()
            else:
                assert command in "mhl", f"unexpected control sequence {match[0]!r}"

    def lines(self) -> list[str]:
        """The rows, without blanks at their ends and empty ones at the bottom."""
        rows = [row.rstrip() for row in self.rows]
        while rows and not rows[-1]:
            rows.pop()
        return rows

    def _cut(self) -> None:
        self.rows[self.row] = self.rows[self.row][: self.column]

    def _put(self, char: str) -> None:
        if char == "\r":
            self.column = 0
        elif char == "\n":
            self.row, self.column = self.row + 1, 0
            if self.row == len(self.rows):
                self.rows.append("")
        else:
            if self.column == self.columns:
                self._put("\n")
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + char + row[self.column + 1 :]
            self.column += 1

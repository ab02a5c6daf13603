"""Labelled lines: `router   | text`, each service in its colour, devctl's own among them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from devctl.cli.live import LiveArea
from devctl.cli.style import Style, cells, pad
from devctl.logs.sanitize import sanitize

if TYPE_CHECKING:
    from devctl.logs.record import Record

OWN = "devctl"
LABEL_LIMIT = 24  # cells; a longer name is shown whole, and only its own lines shift


class Clock(Protocol):
    """Turns nanoseconds since the epoch into the text of a timestamp."""

    def __call__(self, time_ns: int) -> str: ...


class Printer:
    """Prints lines of several services to one stream, above live lines if there are any.

    Args:
        services: in manifest order: the order decides the colour, so that it is the same in every command.
        stream: where to.
        clock: adds a timestamp to each record.
        width_of: the services whose names decide the width of the labels; all by default.
    """

    def __init__(
        self,
        services: Sequence[str],
        stream: TextIO | None = None,
        *,
        clock: Clock | None = None,
        width_of: Sequence[str] | None = None,
    ) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.style = Style(self.stream)
        self.area = LiveArea(self.stream) if self.style.terminal else None
        self.clock = clock
        names = [*services, OWN] if width_of is None else width_of
        self._width = min(LABEL_LIMIT, max((cells(name) for name in names), default=0))
        self._labels: dict[str, str] = {}
        for name in services:
            self._label(name)

    def _label(self, name: str) -> str:
        if name not in self._labels:
            text = f"{pad(name, self._width)} | "
            if name == OWN:
                self._labels[name] = self.style.paint(text, "bold")
            else:
                index = len(self._labels) - (OWN in self._labels)
                self._labels[name] = self.style.label(text, index)
        return self._labels[name]

    def records(self, records: Iterable[Record]) -> None:
        """Prints log records, whole, without what would move the cursor."""
        out = []
        for record in records:
            label = self._label(record.service)
            if self.clock is not None:
                label += self.style.paint(self.clock(record.time_ns), "dim") + " "
            out.append(f"{label}{sanitize(record.text, colours=self.style.colour)}\n")
        self.write("".join(out))

    def say(self, text: str) -> None:
        """Prints a line of devctl's own."""
        self.write(f"{self._label(OWN)}{text}\n")

    def write(self, text: str) -> None:
        """Prints whole lines as they are."""
        if not text:
            return
        if self.area is not None:
            self.area.write(text)
        else:
            self.stream.write(text)
            self.stream.flush()

"""Log lines before and after the ones that are in memory, found again in the files.

Many lines have the same stamp, as a whole block gets one. So a place is a service's stamp and how many of its lines with that
stamp are in memory: those are passed over.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from itertools import islice
from operator import attrgetter
from typing import Self

from devctl.dashboard.logfeed import Sources, Start
from devctl.logs.record import Record
from devctl.logs.scan import backward, position_at

_by_time = attrgetter("time_ns")


class Edge:
    """One end of the lines in memory: for each service the stamp there, and how many of its lines at that end have it.

    Args:
        records: from the end inwards; only as many are read as are needed.
    """

    def __init__(self, records: Iterator[Record], services: Sequence[str]) -> None:
        self.counts: dict[str, int] = {}
        self.times: dict[str, int] = {}
        self.time: int | None = None
        missing = set(services)
        for record in records:
            name = record.service
            if self.time is None:
                self.time = record.time_ns
            if name not in self.times:
                self.times[name] = record.time_ns
                self.counts[name] = 0
            if record.time_ns == self.times[name]:
                # A prompt and the rest of its line are two records here, and one line in the file.
                self.counts[name] += not record.continued
            else:
                missing.discard(name)
                if not missing:
                    break


class Older:
    """Pages of what is before some lines, going backwards. Nothing is read, nor looked for, before the first page.

    Args:
        sources: the services and their files.
        edge: the first of those lines.
    """

    def __init__(self, sources: Sources, edge: Edge) -> None:
        self._records = self._backward(sources, edge)
        self.at_start = False

    @classmethod
    def nothing(cls) -> Self:
        """What is before the first line of the files."""
        found = cls(lambda: (), Edge(iter(()), ()))
        found.at_start = True
        return found

    def page(self, count: int) -> list[Record]:
        """The next `count` records, in the order of time; fewer only at the start of everything. Blocks. Raises DevctlError."""
        records = list(islice(self._records, count))
        self.at_start = len(records) < count
        return records[::-1]

    @staticmethod
    def _backward(sources: Sources, edge: Edge) -> Iterator[Record]:
        each: list[Iterator[Record]] = []
        for service, path in sources():
            stamp = edge.times.get(service, edge.time)
            if stamp is None:
                continue
            place = position_at(path, stamp + 1)
            if place is not None:
                each.append(islice(backward(service, place), edge.counts.get(service, 0), None))
        yield from heapq.merge(*each, key=_by_time, reverse=True)


def start_after(sources: Sources, edge: Edge) -> Start:
    """Where a feed begins that goes on behind some lines. Blocks.

    Args:
        edge: the last of those lines.
    """
    places = {}
    for service, path in sources():
        stamp = edge.times.get(service, edge.time)
        if stamp is not None and (place := position_at(path, stamp)) is not None:
            places[service] = place
    return Start(places=places, skip={name: count for name, count in edge.counts.items() if count})

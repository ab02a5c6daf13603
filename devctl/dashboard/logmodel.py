"""The log lines in memory: a bounded window of everything, and those of them that are shown.

Every record has a number that never changes while it is held: appending goes up, prepending goes down, below zero too. What the
view remembers (the line at the top, the cursor, marks) are such numbers, so nothing it shows ever jumps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from devctl.dashboard.logfilter import LogFilter, Pattern
from devctl.logs.level import Levels, continues
from devctl.logs.record import Record

# Some 30 MB with lines of 100 characters; what is beyond is read from the files again.
CAPACITY = 100_000
# Lines are given back in chunks: a deletion at the list's front costs as much as the list is long.
SPARE = 10_000
LOOK_BACK = 500  # lines; a traceback among loud neighbours


class Entry(NamedTuple):
    """One shown line. `folded`: how many lines that belong to it are hidden below it."""

    number: int
    record: Record
    folded: int


class LogModel:
    """The window, its filter, folds, marks and search.

    Args:
        capacity: records that are held; up to a tenth more for a moment.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self._spare = max(1, min(SPARE, capacity // 10))
        self._records: list[Record] = []
        self.first = 0
        # Numbers of the shown records; None: all are.
        self._shown: list[int] | None = None
        self._filter = LogFilter()
        self._wanted: Callable[[Record], bool] | None = None
        self._folded = False
        self._unfolded: set[int] = set()
        self._heads: dict[tuple[str, str], int] = {}
        self._below: dict[int, list[int]] = {}
        self._levels: dict[str, Levels] | None = None
        self.search: Pattern | None = None
        self.marks: set[int] = set()

    def __len__(self) -> int:
        return len(self._records) if self._shown is None else len(self._shown)

    @property
    def end(self) -> int:
        """The number behind the last record."""
        return self.first + len(self._records)

    @property
    def held(self) -> int:
        """Records in memory, shown or not."""
        return len(self._records)

    @property
    def room(self) -> int:
        """How many records can be appended before one is given up; negative when so many will be."""
        return self.capacity - len(self._records)

    @property
    def filter(self) -> LogFilter:
        """What is shown."""
        return self._filter

    @property
    def folds(self) -> bool:
        """Whether lines that belong to the one before are hidden."""
        return self._folded

    def forward(self) -> Iterator[Record]:
        """The records, the first one first."""
        return iter(self._records)

    def backward(self) -> Iterator[Record]:
        """The records, the last one first."""
        return reversed(self._records)

    # --- what comes and goes ----------------------------------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> int:
        """Takes newer records; beyond the capacity the oldest go. Returns how many went."""
        if self._levels is not None:
            self._set_levels(records)
        start = self.end
        self._records.extend(records)
        if self._shown is not None:
            self._shown += self._select(records, start)
        over = len(self._records) - self.capacity
        return self._drop_oldest(self._clean_cut(over)) if over > self._spare else 0

    def prepend(self, records: Sequence[Record]) -> int:
        """Takes older records; beyond the capacity the newest go. Returns how many went."""
        self._records[:0] = records
        self.first -= len(records)
        over = 0
        if len(self._records) > self.capacity:
            cut = self._clean_cut(self.capacity)
            over = len(self._records) - cut
            del self._records[cut:]
            self.marks = {number for number in self.marks if number < self.end}
        # What a line belongs to, and so its level and its fold, may only be known now.
        self._recompute()
        return over

    def reset(self) -> None:
        """Forgets every record; numbers go on from where they were, so that nothing old is taken for something new."""
        self.first = self.end
        self._records = []
        self.marks.clear()
        self._unfolded.clear()
        self._recompute()

    def _clean_cut(self, cut: int) -> int:
        """Where to cut, at or before `cut`: no lines of a service with one stamp are parted, as by that the rest is found again."""
        records = self._records
        lowest = max(0, cut - self._spare)
        while True:
            behind: dict[str, int] = {}
            for record in records[cut : cut + self._spare]:
                behind.setdefault(record.service, record.time_ns)
            before = range(cut - 1, lowest - 1, -1)
            parted = [index for index in before if behind.get(records[index].service) == records[index].time_ns]
            if not parted:
                return cut
            cut = parted[-1]

    def _drop_oldest(self, count: int) -> int:
        del self._records[:count]
        self.first += count
        if self._shown is not None:
            del self._shown[: bisect_left(self._shown, self.first)]
        if self.marks:
            self.marks = {number for number in self.marks if number >= self.first}
        if self._below:
            self._below = {number: below for number, below in self._below.items() if number >= self.first}
        self._unfolded = {number for number in self._unfolded if number >= self.first}
        return count

    # --- what is shown ----------------------------------------------------------------------------------------------------------

    def set_filter(self, wanted: LogFilter) -> None:
        """Shows other records."""
        if wanted != self._filter:
            self._filter = wanted
            self._recompute()

    def set_folds(self, on: bool) -> None:
        """Hides the lines that belong to the one before them: of tracebacks, panics, indented dumps; or shows them."""
        self._folded = on
        self._unfolded.clear()
        self._recompute()

    def toggle_fold(self, number: int) -> None:
        """Shows or hides what belongs to this line (or to the line that this one belongs to)."""
        if not self._folded:
            self._folded = True
            self._recompute()
            # Everything else stays as it was: open.
            self._unfolded = set(self._below)
        head = self.head_of(number)
        self._unfolded ^= {head}
        self._recompute()

    def entry(self, index: int) -> Entry:
        """The shown line at `index`, 0 to len - 1."""
        number = self.first + index if self._shown is None else self._shown[index]
        folded = 0 if not self._folded or number in self._unfolded else len(self._below.get(number, ()))
        return Entry(number, self._records[number - self.first], folded)

    def index_of(self, number: int) -> int:
        """The index of the shown line with this number, or of the next one; len when there is none."""
        if self._shown is None:
            return min(max(0, number - self.first), len(self._records))
        return bisect_left(self._shown, number)

    def record(self, number: int) -> Record | None:
        """The record with this number, shown or not; None when it is not held."""
        return self._records[number - self.first] if self.first <= number < self.end else None

    def upwards(self, number: int) -> Iterator[Record]:
        """A record and those before it of the same stream of the same service, a few hundred at most."""
        record = self.record(number)
        if record is not None:
            yield record
            for at in range(number - 1, max(self.first, number - LOOK_BACK) - 1, -1):
                other = self._records[at - self.first]
                if other.service == record.service and other.stream == record.stream:
                    yield other

    def head_of(self, number: int) -> int:
        """The line that this one belongs to; itself when to none."""
        record = self.record(number)
        if record is None or not continues(record.text):
            return number
        for at in range(number - 1, max(self.first, number - LOOK_BACK) - 1, -1):
            other = self._records[at - self.first]
            if other.service == record.service and other.stream == record.stream and not continues(other.text):
                return at
        return number

    def _recompute(self) -> None:
        wanted = self._filter
        if wanted.level is None:
            self._levels = None
        elif self._levels is None or self._records:
            self._levels = {}
            self._set_levels(self._records)
        self._wanted = None if wanted.passes_all else wanted.predicate()
        self._heads = {}
        self._below = {}
        if self._wanted is None and not self._folded:
            self._shown = None
        else:
            self._shown = self._select(self._records, self.first)

    def _select(self, records: Sequence[Record], start: int) -> list[int]:
        wanted = self._wanted
        if not self._folded:
            assert wanted is not None
            return [number for number, record in enumerate(records, start) if wanted(record)]
        shown = []
        heads, below, unfolded = self._heads, self._below, self._unfolded
        for number, record in enumerate(records, start):
            if wanted is not None and not wanted(record):
                continue
            key = (record.service, record.stream)
            head = heads.get(key)
            if head is not None and continues(record.text):
                below.setdefault(head, []).append(number)
                if head not in unfolded:
                    continue
            else:
                heads[key] = number
            shown.append(number)
        return shown

    def _set_levels(self, records: Sequence[Record]) -> None:
        assert self._levels is not None
        levels = self._levels
        for record in records:
            tracker = levels.get(record.service)
            if tracker is None:
                tracker = levels[record.service] = Levels()
            tracker.set((record,))

    # --- finding ----------------------------------------------------------------------------------------------------------------

    def find(self, start: int, step: int, wanted: Callable[[Record], bool]) -> int | None:
        """The index of the first shown line from `start` on that is wanted, or hides one that is; None when there is none.

        Args:
            step: 1 looks downwards, -1 upwards.
        """
        records, first, shown = self._records, self.first, self._shown
        stop = len(self) if step > 0 else -1
        for index in range(max(start, 0) if step > 0 else min(start, len(self) - 1), stop, step):
            number = first + index if shown is None else shown[index]
            if wanted(records[number - first]):
                return index
            hidden = () if number in self._unfolded else self._below.get(number, ())
            if any(wanted(records[below - first]) for below in hidden if below >= first):
                return index
        return None

    def count(self, pattern: Pattern) -> int:
        """How many shown lines match."""
        matches = pattern.matches
        if self._shown is None:
            return sum(1 for record in self._records if matches(record.text))
        records, first = self._records, self.first
        return sum(1 for number in self._shown if matches(records[number - first].text))

    def toggle_mark(self, number: int) -> bool:
        """Marks a line, or takes its mark away; whether it is marked now."""
        self.marks ^= {number}
        return number in self.marks

    def next_mark(self, number: int) -> int | None:
        """The next marked number, after the last one the first one; None when nothing is marked."""
        ordered = sorted(self.marks)
        return next((mark for mark in ordered if mark > number), ordered[0] if ordered else None)

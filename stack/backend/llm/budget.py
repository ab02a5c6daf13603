"""A limit on what may be spent in a day."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stack.common.log import Log

log = Log("stack.llm.budget")

_DAY = 24 * 60 * 60


class BudgetSpent(Exception):
    """Today's budget does not allow another request. `resets_in` is in seconds."""

    def __init__(self, resets_in: float) -> None:
        super().__init__(f"the budget of the day is spent; it begins anew in {resets_in:.0f} s")
        self.resets_in = resets_in


class Budget:
    """Dollars for one day (UTC). What is spent survives a restart in a file.

    Args:
        dollars: the limit; None counts and never refuses.
        path: the file; None forgets at the end of the process.
        clock: seconds since 1970.
    """

    def __init__(self, dollars: float | None, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._limit = dollars
        self._path = path
        self._clock = clock
        self._reserved = 0.0
        self._day, self._spent = self._read()

    @contextlib.contextmanager
    def reserved(self, dollars: float) -> Iterator[Bill]:
        """Set aside what a request may cost while it runs, so that many at once do not pass the limit together.

        The bill is to be filled in with what it did cost, before the block ends.

        Raises:
            BudgetSpent: on entering, when that much is not left.
        """
        self._turn_day()
        if self._limit is not None and dollars > 0 and self._spent + self._reserved + dollars > self._limit:
            raise BudgetSpent(self._resets_in())
        bill = Bill()
        self._reserved += dollars
        try:
            yield bill
        finally:
            self._reserved -= dollars
            if bill.dollars > 0:
                self._turn_day()
                self._spent += bill.dollars
                self._write()

    def json(self) -> dict[str, Any]:
        """`{"limit", "spent", "reserved", "left", "resets_in"}`, dollars and seconds; without a limit, it and `left` are None."""
        self._turn_day()
        left = None if self._limit is None else max(0.0, round(self._limit - self._spent - self._reserved, 6))
        return {
            "limit": self._limit,
            "spent": round(self._spent, 6),
            "reserved": round(self._reserved, 6),
            "left": left,
            "resets_in": round(self._resets_in()),
        }

    def _today(self) -> int:
        return int(self._clock() // _DAY)

    def _resets_in(self) -> float:
        return _DAY - self._clock() % _DAY

    def _turn_day(self) -> None:
        if (today := self._today()) != self._day:
            self._day, self._spent = today, 0.0

    def _read(self) -> tuple[int, float]:
        if self._path is None or not self._path.exists():
            return self._today(), 0.0
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            return int(kept["day"]), max(0.0, float(kept["dollars"]))
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning("Cannot read what was spent today; counting from zero", path=str(self._path), reason=str(error))
            return self._today(), 0.0

    def _write(self) -> None:
        if self._path is None:
            return
        draft = self._path.with_name(f"{self._path.name}.new")
        try:
            draft.write_text(json.dumps({"day": self._day, "dollars": self._spent}), encoding="utf-8")
            os.replace(draft, self._path)
        except OSError as error:
            log.warning("Cannot keep what was spent today", path=str(self._path), reason=str(error))


class Bill:
    """What one request cost, in dollars."""

    def __init__(self) -> None:
        self.dollars = 0.0

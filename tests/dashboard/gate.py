"""Holds a reading of older lines, so that something else comes first for certain."""

from __future__ import annotations

import asyncio
import threading

import pytest

from devctl.dashboard.loghistory import Older
from devctl.logs.record import Record

GUARD = 30.0


class Gate:
    """Holds the first reading of a page until `opened` is set; `left` is set when it is over."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.left = threading.Event()
        page = Older.page

        def held(older: Older, count: int) -> list[Record]:
            if self.entered.is_set():
                return page(older, count)
            self.entered.set()
            assert self.opened.wait(GUARD)
            records = page(older, count)
            self.left.set()
            return records

        monkeypatch.setattr(Older, "page", held)

    async def until_entered(self) -> None:
        """Waits until a page is asked for."""
        assert await asyncio.to_thread(self.entered.wait, GUARD)

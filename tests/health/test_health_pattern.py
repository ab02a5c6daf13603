"""The user's patterns, bounded."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

from devctl.health.pattern import STRIKES, Pattern, PatternTooSlow

SINNER = "a" * 60 + "!"


def test_one_of_several_texts_is_enough() -> None:
    """As re.search does, anywhere in them."""
    assert Pattern("b+").found(["aaa", "abba"])
    assert not Pattern("b+").found(["aaa", ""])


def test_catastrophic_backtracking_is_interrupted_and_given_up() -> None:
    """It would take years; after a few interruptions it is refused at once."""
    pattern = Pattern("(a+)+$")
    for _ in range(STRIKES):
        assert not pattern.given_up
        with pytest.raises(PatternTooSlow):
            pattern.found([SINNER])
    assert pattern.given_up
    with pytest.raises(PatternTooSlow):
        pattern.found(["a"])


def test_it_works_inside_a_running_event_loop() -> None:
    """The signal that interrupts does not disturb the loop, which goes on."""

    async def run() -> bool:
        with pytest.raises(PatternTooSlow):
            Pattern("(a+)+$").found([SINNER])
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: True)

    assert asyncio.run(run())


def test_it_works_in_other_threads() -> None:
    """There no timer can interrupt; matching itself is the same."""
    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(Pattern("b").found(["abc"])))
    thread.start()
    thread.join()
    assert found == [True]


def test_a_broken_pattern_is_an_error() -> None:
    """re.error, as from re.compile."""
    with pytest.raises(re.error):
        Pattern("(")

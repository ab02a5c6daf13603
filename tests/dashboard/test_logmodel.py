"""The window of log lines, against a plain list."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devctl.dashboard.logfilter import LogFilter, Pattern
from devctl.dashboard.logmodel import LogModel
from devctl.errors import UsageError
from devctl.logs.level import continues
from devctl.logs.record import Record

TEXTS = ["INFO fine", "ERROR bad", "  indented", "Needle here", "needle there", "WARN so so", "\x1b[31mred needle\x1b[0m", ""]
records = st.lists(
    st.builds(
        Record,
        time_ns=st.integers(0, 50),
        service=st.sampled_from(["a", "b"]),
        stream=st.sampled_from(["stdout", "stderr"]),
        text=st.sampled_from(TEXTS),
    ),
    max_size=12,
)
patterns = st.sampled_from([None, "needle", "Needle", "!needle", "re:ne+dle", "re:^ERROR"])
filters = st.builds(
    lambda service, pattern, level, stream, since: LogFilter(service, Pattern(pattern) if pattern else None, level, stream, since),
    st.sampled_from([None, "a"]),
    patterns,
    st.sampled_from([None, "error", "warn"]),
    st.sampled_from([None, "stderr"]),
    st.sampled_from([None, 25]),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), records),
        st.tuples(st.just("prepend"), records),
        st.tuples(st.just("filter"), filters),
        st.tuples(st.just("fold"), st.booleans()),
        st.tuples(st.just("reset"), st.none()),
    ),
    max_size=15,
)


def shown(model: LogModel) -> list[tuple[int, Record]]:
    return [(entry.number, entry.record) for entry in map(model.entry, range(len(model)))]


class Plain:
    """The same, without any cleverness."""

    def __init__(self) -> None:
        self.numbered: list[tuple[int, Record]] = []
        self.next = 0
        self.filter = LogFilter()
        self.folded = False

    def do(self, what: str, value: Any, model: LogModel) -> None:
        if what == "append":
            self.numbered += list(enumerate(value, self.next))
            self.next += len(value)
        elif what == "prepend":
            first = self.numbered[0][0] if self.numbered else self.next
            self.numbered = list(enumerate(value, first - len(value))) + self.numbered
        elif what == "filter":
            self.filter = value
        elif what == "fold":
            self.folded = value
        else:
            self.numbered = []
        # How much is given up is the model's choice; which lines is not.
        self.numbered = [pair for pair in self.numbered if model.first <= pair[0] < model.end]
        self.next = model.end

    def shown(self) -> list[tuple[int, Record]]:
        wanted = self.filter.predicate()
        found = []
        heads = set()
        for number, record in self.numbered:
            if not wanted(record):
                continue
            key = (record.service, record.stream)
            if self.folded and continues(record.text) and key in heads:
                continue
            heads.add(key)
            found.append((number, record))
        return found


@settings(max_examples=300, deadline=None)
@given(steps)
def test_any_history_shows_what_a_plain_list_shows(history: list[tuple[str, Any]]) -> None:
    """Appending, prepending, giving lines up, filters and folds in any order: the lines and their numbers are right."""
    model, plain = LogModel(capacity=20), Plain()
    for what, value in history:
        {
            "append": model.append,
            "prepend": model.prepend,
            "filter": model.set_filter,
            "fold": model.set_folds,
            "reset": lambda _: model.reset(),
        }[what](value)
        plain.do(what, value, model)
        # Levels are inherited by the lines below, and what a line given up belonged to only the model remembers.
        if plain.filter.level is None and not plain.folded:
            assert shown(model) == plain.shown()
        assert model.held <= 22
        for index in range(len(model)):
            assert model.index_of(model.entry(index).number) == index


@given(records, patterns.filter(bool), st.integers(-1, 13), st.sampled_from([1, -1]))
def test_find_is_the_nearest_match(lines: list[Record], words: str, start: int, step: int) -> None:
    """The nearest shown line in the direction, or None."""
    model = LogModel()
    model.append(lines)
    pattern = Pattern(words)
    found = model.find(start, step, lambda record: pattern.matches(record.text))
    inside = range(max(start, 0), len(lines)) if step > 0 else range(min(start, len(lines) - 1), -1, -1)
    assert found == next((index for index in inside if pattern.matches(lines[index].text)), None)


def test_levels_are_those_of_the_line_that_a_traceback_belongs_to() -> None:
    """A filter by level keeps the whole traceback, also when its lines come later."""
    model = LogModel()
    model.set_filter(LogFilter(level="error"))
    traceback = ["ERROR oops", "Traceback (most recent call last):", '  File "a.py", line 1, in <module>', "ValueError: no"]
    texts = ["INFO fine", *traceback, "INFO on"]
    for text in texts:
        model.append([Record(1, "a", "stderr", text)])
    assert [record.text for _, record in shown(model)] == traceback


def test_smart_case() -> None:
    """Small letters find both, a capital only itself; an escape is no capital."""
    assert Pattern("needle").matches("a NEEDLE")
    assert not Pattern("Needle").matches("a needle")
    assert Pattern(r"re:\Sx").matches("AX")


def test_a_pattern_is_found_across_colours() -> None:
    """Colours in the middle of a word hide nothing."""
    assert Pattern("needle").matches("nee\x1b[31mdle\x1b[0m")


@pytest.mark.parametrize("words", ["re:(", "re:" + "a" * 2000])
def test_bad_patterns_are_refused_in_words(words: str) -> None:
    """Not with the regex engine's exception."""
    with pytest.raises(UsageError, match="pattern"):
        Pattern(words)


def test_marks_come_around_and_go_with_their_lines() -> None:
    """After the last mark comes the first; a line that is given up takes its mark along."""
    model = LogModel(capacity=10)
    model.append([Record(1, "a", "stdout", str(number)) for number in range(10)])
    model.toggle_mark(2)
    model.toggle_mark(7)
    assert [model.next_mark(2), model.next_mark(7)] == [7, 2]
    model.append([Record(1, "a", "stdout", "x")] * 5)
    assert model.marks == {7}


def test_a_search_finds_what_a_fold_hides() -> None:
    """The line that hides it is found."""
    model = LogModel()
    model.append([Record(1, "a", "stderr", text) for text in ("ERROR bad", "  hidden needle", "INFO fine")])
    model.set_folds(True)
    assert [model.entry(index).folded for index in range(len(model))] == [1, 0]
    assert model.find(0, 1, lambda record: "needle" in record.text) == 0
    model.toggle_fold(model.entry(0).number)
    assert len(model) == 3

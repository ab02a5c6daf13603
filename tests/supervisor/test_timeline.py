"""The start-up as a Gantt, and its critical path."""

from __future__ import annotations

from devctl.model import ServiceState
from devctl.supervisor.timeline import Marks, critical_path, timeline
from tests.lifecycle.history import spec

SPECS = {
    item.name: item
    for item in (spec("db"), spec("cache"), spec("backend", "db", "cache"), spec("frontend", "backend"), spec("tool"))
}
READY = ServiceState.READY
STATES = dict.fromkeys(SPECS, READY)
MARKS = {
    "db": Marks(0, 0.01, 2.0),
    "cache": Marks(0, 0.01, 0.5),
    "backend": Marks(0, 2.01, 3.0),
    "frontend": Marks(0, 3.01, 3.5),
    "tool": Marks(0, 0.01, 1.0),
}


def test_the_critical_path_is_the_slowest_dependency_each_time() -> None:
    """From the last to become ready back through what it had to wait for."""
    assert critical_path(SPECS, MARKS) == {"frontend", "backend", "db"}


def test_a_lonely_slow_one_is_its_own_path() -> None:
    """Who depends on nothing was late on its own account."""
    assert critical_path(SPECS, {**MARKS, "tool": Marks(0, 0.01, 9.0)}) == {"tool"}


def test_nothing_ready_has_no_path() -> None:
    """Before the first service is ready there is nothing to say."""
    assert critical_path(SPECS, {name: Marks() for name in SPECS}) == set()


def test_what_never_became_ready_is_not_on_it() -> None:
    """The path ends where a dependency was not ready in time, such as one that only had to start."""
    marks = {**MARKS, "db": Marks(0, 0.01), "cache": Marks(0, 0.01)}
    assert critical_path(SPECS, marks) == {"frontend", "backend"}


def test_a_service_that_was_removed() -> None:
    """Marks of what is no longer in the manifest do no harm."""
    assert critical_path({"db": SPECS["db"]}, MARKS) == set()


def test_entries_in_the_manifest_s_order() -> None:
    """One for each service that has marks, rounded, with its dependencies."""
    entries = timeline(SPECS, {**MARKS, "tool": Marks(0.123456)}, STATES)
    assert [entry.service for entry in entries] == list(SPECS)
    assert entries[2].depends_on == ("db", "cache")
    assert (entries[4].waiting_from, entries[4].started, entries[4].ready, entries[4].critical) == (0.1235, None, None, False)


def test_services_without_marks_are_left_out() -> None:
    """What was never asked to start has no bar."""
    assert [entry.service for entry in timeline(SPECS, {"db": Marks()}, STATES)] == ["db"]

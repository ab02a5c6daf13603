"""The pages of the detail pane, for whatever the supervisor may say and however wide the pane is."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from textual.content import Content

from devctl.dashboard.pages import depends, environment, events, health, processes, timeline, why
from devctl.dashboard.pages.health import target
from devctl.dashboard.pages.paper import VALUE_LIMIT, clean
from devctl.model import ServiceState, ServiceStatus
from devctl.timeline_chart import bars
from tests.dashboard.detail_stage import TIME, service

TEXT = st.text(st.characters(codec=None), max_size=60)
NAMES = st.sampled_from(["db", "web", "a-rather-long-name-of-a-service", "数据库"])
WIDTHS = st.integers(8, 160)
SECONDS = st.none() | st.floats(0, 1e6)


def fits(page: Content, width: int) -> None:
    """Nothing is wider than the page, and nothing on it moves the cursor."""
    for line in page.plain.split("\n"):
        assert cell_len(line) <= width
        assert not [character for character in line if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")]


@given(TEXT, st.lists(st.tuples(st.sampled_from(["log", "check", "hint"]), TEXT), max_size=8), st.lists(NAMES, max_size=5), WIDTHS)
def test_why_fits(sentence: str, evidence: list[tuple[str, str]], chain: list[str], width: int) -> None:
    """Sentence, chain and evidence wrap."""
    answer = {"sentence": sentence, "chain": chain, "evidence": [{"label": label, "text": text} for label, text in evidence]}
    view = service("web", pid=12, restarts=2, url="http://127.0.0.1:8000", startup_seconds=1.5)
    fits(why.page(answer, width, view), width)


@given(st.lists(st.tuples(NAMES, SECONDS, SECONDS, st.sampled_from(ServiceState), st.booleans()), max_size=8), SECONDS, WIDTHS)
def test_timeline_fits(rows: list[tuple[str, Any, Any, ServiceState, bool]], now: float | None, width: int) -> None:
    """One line a service in every width, whatever has happened so far; below the least width only the numbers."""
    entries = [
        {"service": name, "waiting_from": 0.0, "started": started, "ready": ready, "state": state.value, "critical": critical}
        for name, started, ready, state, critical in rows
    ]
    page = timeline.page(entries, width, now=now, selected="web")
    fits(page, width)
    assert not rows or len(page.plain.split("\n")) >= len(rows) + 1


@given(st.lists(st.tuples(SECONDS, SECONDS, SECONDS), max_size=8), SECONDS, st.integers(1, 100))
def test_bars_are_as_long_as_their_room(rows: list[tuple[Any, Any, Any]], now: float | None, room: int) -> None:
    """Each bar fills its row exactly, and what has been started has at least one cell."""
    entries = [
        {"service": "s", "waiting_from": waiting or 0.0, "started": started, "ready": ready, "state": "starting", "critical": False}
        for waiting, started, ready in rows
    ]
    for entry, bar in zip(entries, bars(entries, room, now), strict=True):
        assert bar.before + bar.waiting + bar.starting + bar.after == room
        assert min(bar.before, bar.waiting, bar.after) >= 0
        assert bar.starting >= 1 or entry["started"] is None


@given(st.lists(st.tuples(st.none() | NAMES, st.sampled_from(["ready", "failed", "odd"]), TEXT), max_size=8), WIDTHS)
def test_events_fit(rows: list[tuple[str | None, str, str]], width: int) -> None:
    """Of one service or all."""
    told = [{"time": TIME, "type": "service_state", "service": name, "state": state, "reason": text} for name, state, text in rows]
    fits(events.page(told, width, service=None, choice="web"), width)
    fits(events.page(told, width, service="web", choice="web"), width)


PROBES = [
    {"kind": "http", "url": "http://u:secret@127.0.0.1/", "method": "GET", "status": [[200, 399], [404, 404]], "body": "ok"},
    {"kind": "tcp", "address": "127.0.0.1:5432"},
    {"kind": "exec", "argv": ["pg_isready", "--password=secret"]},
    {"kind": "log", "pattern": "listening on"},
    {"kind": "notify"},
    {"kind": "of-tomorrow"},
]


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe["kind"])
def test_what_a_probe_asks(probe: dict[str, Any]) -> None:
    """Every kind of probe has a sentence, and none tells a secret."""
    assert target(probe)
    assert "secret" not in target(probe)


@given(st.sampled_from(PROBES), st.lists(st.tuples(st.booleans(), TEXT, st.integers(1, 9)), max_size=6), WIDTHS)
def test_health_fits(probe: dict[str, Any], runs: list[tuple[bool, str, int]], width: int) -> None:
    """The rhythm, the present and the past."""
    check = {"probe": probe, "interval": 1.0, "timeout": 2.0, "retries": 3, "start_period": 30.0, "start_interval": None}
    history = [
        {"time": TIME, "until": TIME, "count": count, "ok": ok, "detail": detail, "seconds": 0.001, "slowest": 0.002}
        for ok, detail, count in runs
    ]
    fits(health.page({"check": check, "history": history}, width, state="ready"), width)


@given(st.dictionaries(TEXT, TEXT, max_size=8), st.lists(TEXT, max_size=4), WIDTHS)
def test_environment_fits(variables: dict[str, str], argv: list[str], width: int) -> None:
    """Any name and any value, on lines of their own."""
    answer = {"environment": variables, "argv": argv, "working_dir": "/srv"}
    fits(environment.page(environment.masked(answer), width), width)


def test_a_value_is_bounded() -> None:
    """A megabyte in a variable costs a few lines, which say how much is missing."""
    shown = clean("x" * (VALUE_LIMIT + 1_000_000))
    assert len(shown) < VALUE_LIMIT + 50
    assert shown.endswith("1000000 more characters")


def process(pid: int, ppid: int, command: str = "run") -> dict[str, Any]:
    return {
        "pid": pid, "ppid": ppid, "command": command, "state": "sleeping", "cpu_percent": 1.5, "memory_bytes": 2_000_000,
        "started_at": TIME, "kind": "main" if ppid == 1 else "child",
    }  # fmt: skip


@given(st.lists(st.tuples(st.integers(2, 12), st.integers(1, 12)), max_size=12, unique_by=lambda pair: pair[0]), WIDTHS)
def test_every_process_once_below_its_parent(pairs: list[tuple[int, int]], width: int) -> None:
    """A tree, or whatever a race makes of one: nobody is told twice, and parents are told first."""
    told = [process(pid, ppid) for pid, ppid in pairs]
    walked = [item["pid"] for item, _ in processes.walk(told)]
    assert len(set(walked)) == len(walked)
    assert set(walked) <= {pid for pid, _ in pairs}
    parents = dict(pairs)
    for place, pid in enumerate(walked):
        assert parents[pid] == pid or parents[pid] not in walked or parents[pid] in walked[:place]
    fits(processes.page({"processes": told, "total": len(told)}, width), width)


def test_the_tree_is_drawn() -> None:
    """Lines lead from parents to children; secrets on command lines are masked; what is beyond the bound is said."""
    told = [process(2, 1, "sh"), process(3, 2, "a --token=hunter2"), process(4, 3, "b"), process(5, 2, "c")]
    text = processes.page({"processes": told, "total": 9}, 100).plain
    assert "9 processes" in text
    assert "├ a --token=********" in text
    assert "│ └ b" in text
    assert "└ c" in text
    assert "and 5 more" in text


@given(st.dictionaries(NAMES, st.lists(NAMES, unique=True), max_size=4), NAMES, WIDTHS)
def test_depends_ends_for_any_graph(edges: dict[str, list[str]], name: str, width: int) -> None:
    """Diamonds, circles and services that are not part of the run."""
    services: dict[str, ServiceStatus] = {other: service(other, ServiceState.FAILED, *needs) for other, needs in edges.items()}
    fits(depends.page(services, name, width), width)


def test_a_branch_is_drawn_once() -> None:
    """A diamond's lower half is not repeated, and that is said."""
    needs = {"web": ["a", "b"], "a": ["db"], "b": ["db"], "db": ["disk"], "disk": []}
    services = {name: service(name, ServiceState.READY, *targets) for name, targets in needs.items()}
    text = depends.page(services, "web", 80).plain
    assert text.count("disk ready") == 1
    assert "db ready  (as above)" in text
    assert "is needed by\n├ db ready" in depends.page(services, "disk", 80).plain.replace("└ db ready", "├ db ready")

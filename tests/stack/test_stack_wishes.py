"""What the ops agent takes a question for, and what it says when it cannot ask."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.router.agents.wishes import ControlWish, LogWish, asks_why, control_wish, log_wish, named
from tests.stack.conftest import Launcher

SERVICES = ("router", "backend", "frontend", "web-1")


@pytest.mark.parametrize(
    ("message", "wish"),
    [
        ("show the last errors of router", LogWish(10, "error")),
        ("any warnings from the frontend", LogWish(10, "warn")),
        ("give me the last 50 lines of the backend", LogWish(50)),
        ("dump the last hundred lines of every service", LogWish(100)),
        ("show me the last 99999 lines", LogWish(10)),
        ("errors in the last five minutes?", LogWish(10, "error", "5m")),
        ("what did the router log in the past minute", LogWish(10, None, "1m")),
        ("what did it log in the last 2 hours", LogWish(10, None, "2h")),
        ("search the logs for timeout", LogWish(10, search="timeout")),
        ("look through the log for the word deprecated.", LogWish(10, search="deprecated")),
        ('is there a "Connection refused" in the backend log', LogWish(10, search="Connection refused")),
    ],
)
def test_log_wishes(message: str, wish: LogWish) -> None:
    """A question about logs names how many, how bad, since when, and what to look for."""
    assert log_wish(message) == wish


@pytest.mark.parametrize(
    ("message", "verb"),
    [
        ("restart frontend", "restart"),
        ("bounce the backend", "restart"),
        ("switch the backend off and on again", "restart"),
        ("bring the frontend back", "restart"),
        ("stop the backend", "stop"),
        ("take the router down for a minute", "stop"),
        ("turn the frontend off", "stop"),
        ("start the backend service", "start"),
        ("spin up the frontend", "start"),
    ],
)
def test_control_wishes(message: str, verb: str) -> None:
    """A request names the operation; a service's name is no part of it."""
    assert control_wish(message) == ControlWish(verb, everything=False, with_dependents=False)


def test_control_of_more() -> None:
    """All services, and what depends on a service, can be meant."""
    assert control_wish("shut everything down").everything
    assert control_wish("restart the whole stack").everything
    assert control_wish("restart backend and its dependents").with_dependents


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("restart frontend", ["frontend"]),
        ("is the Router's log longer than the backend's?", ["router", "backend"]),
        ("restart web-1", ["web-1"]),
        ("restart web-10 and my-router", []),
        ("is everything fine", []),
    ],
)
def test_named_services(message: str, found: list[str]) -> None:
    """Services are found by their whole names, in the order in which they are said."""
    assert named(message, SERVICES) == found


@pytest.mark.parametrize(
    ("message", "why"), [("why is the backend down?", True), ("what's wrong with it", True), ("restart it", False)]
)
def test_questions_for_a_reason(message: str, why: bool) -> None:
    """Why-questions are told from others."""
    assert asks_why(message) is why


@given(st.text(max_size=400))
def test_any_text(message: str) -> None:
    """Whatever is written, the wish stays within bounds."""
    wish = log_wish(message)
    assert 1 <= wish.tail <= 100
    assert wish.search is None or 0 < len(wish.search) <= 200
    assert control_wish(message).verb in ("start", "stop", "restart")
    assert set(named(message, SERVICES)) <= set(SERVICES)


def test_without_the_backend(launcher: Launcher) -> None:
    """Where the backend is down, the answer says so, and what the router knows by itself."""
    router = launcher.start("router", BACKEND_URL=f"http://127.0.0.1:{launcher.port()}")
    router.wait_line("Router ready")
    reply = router.post("/route", {"session_id": "alone", "message": "why is the backend down?"}).json()["reply"]
    assert "cannot be reached" in reply
    assert "- backend: unreachable" in reply
    assert "devctl status" in reply

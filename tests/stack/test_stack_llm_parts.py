"""The pure parts of the models' side: breaker, budget, tokens, scores, prepared answers."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.backend.llm.breaker import Attempt, Breaker
from stack.backend.llm.budget import Budget, BudgetSpent
from stack.backend.llm.chain import Retries
from stack.backend.llm.local_provider import LocalProvider
from stack.backend.llm.prices import Price
from stack.backend.llm.provider import ChatRequest, Message, Usage
from stack.backend.llm.quality import KEEP, score
from stack.backend.llm.tasks import TASKS
from stack.backend.llm.tokens import estimate

DAY = 86_400.0


class Clock:
    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.sampled_from(["ask", "good", "bad", "left", "rest"]), max_size=60))
def test_a_breaker_never_lets_two_probes_out(steps: list[str]) -> None:
    """Whatever happens: closed it always lets through, open never, half open one at a time; and it always recovers."""
    clock = Clock()
    breaker = Breaker(failures=2, rest=10, clock=clock)
    out: list[Attempt] = []
    probes: list[Attempt] = []
    for step in steps:
        if step == "rest":
            clock.now += 10
        elif step == "ask":
            before = breaker.state
            leave = breaker.attempt()
            assert (leave is not None) == (before == "closed" or (before == "half_open" and not probes))
            if leave is not None:
                out.append(leave)
                probes += [leave] if before == "half_open" else []
        elif out:
            leave = out.pop(0)
            probes = [each for each in probes if each is not leave]
            {"good": leave.succeeded, "bad": leave.failed, "left": leave.abandoned}[step]()
    for leave in out:
        leave.abandoned()
    clock.now += 10
    last = breaker.attempt()
    assert last is not None
    last.succeeded()
    assert breaker.state == "closed"


def test_a_breaker_rests_as_long_as_asked() -> None:
    """A rest that the provider asks for opens at once; it is not shortened by other failures."""
    clock = Clock()
    breaker = Breaker(failures=5, rest=10, clock=clock)
    one, two = breaker.attempt(), breaker.attempt()
    assert one is not None
    assert two is not None
    one.failed(rest=60)
    two.failed()
    clock.now = 59
    assert breaker.attempt() is None
    clock.now = 60
    assert breaker.attempt() is not None


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 1)), max_size=30))
def test_a_budget_is_never_passed(requests: list[tuple[float, float]]) -> None:
    """As long as requests cost at most what was set aside, no order of them passes the limit."""
    budget = Budget(10)
    with contextlib.ExitStack() as under_way:
        for most, share in requests:
            try:
                bill = under_way.enter_context(budget.reserved(most))
            except BudgetSpent:
                continue
            bill.dollars = most * share
    told = budget.json()
    assert told["spent"] <= 10 + 1e-6
    assert told["reserved"] == pytest.approx(0, abs=1e-6)


def test_a_budget_survives_a_restart_and_ends_with_the_day(tmp_path: Path) -> None:
    """What was spent is read back; the next day begins at zero; a broken file counts from zero."""
    path, clock = tmp_path / "spent.json", Clock(3 * DAY + 100)
    with Budget(10, path, clock).reserved(4) as bill:
        bill.dollars = 4
    again = Budget(10, path, clock)
    assert again.json() == {"limit": 10, "spent": 4, "reserved": 0, "left": 6, "resets_in": DAY - 100}
    with pytest.raises(BudgetSpent), again.reserved(7):
        pass
    clock.now += DAY
    assert again.json()["spent"] == 0
    path.write_text("{}")
    assert Budget(10, path, clock).json()["spent"] == 0


def test_without_a_limit_it_only_counts() -> None:
    """No budget refuses nothing."""
    budget = Budget(None)
    with budget.reserved(1e9) as bill:
        bill.dollars = 5
    assert (budget.json()["spent"], budget.json()["left"]) == (5, None)


def test_prices_are_for_a_million_tokens() -> None:
    """Input and output have their own."""
    assert Price(2, 8).of(Usage(500_000, 250_000, estimated=False)) == pytest.approx(3)
    assert Price().free


@given(st.text(max_size=300), st.text(max_size=300))
def test_estimates_grow_with_the_text(one: str, two: str) -> None:
    """Never more tokens than characters; none only for blanks; two texts have about as many as their parts."""
    assert 0 <= estimate(one) <= len(one)
    assert (estimate(one) == 0) == (not one.strip())
    assert abs(estimate(f"{one} {two}") - estimate(one) - estimate(two)) <= 1


def test_estimates_are_near() -> None:
    """Near what common tokenizers count: 10 for this sentence, and long texts in proportion, by a sample."""
    sentence = "The quick brown fox jumps over the lazy dog. "
    assert 9 <= estimate(sentence) <= 11
    assert estimate(sentence * 10_000) == pytest.approx(10_000 * estimate(sentence), rel=0.02)


@given(st.text(max_size=400), st.text(max_size=400), st.sampled_from(["stop", "length", "content_filter", "?"]))
def test_scores_stay_in_their_range(question: str, text: str, reason: str) -> None:
    """From 0 to 1 for anything, 0 for nothing."""
    value = score([Message("user", question)], text, reason)
    assert 0 <= value <= 1
    assert (value == 0) == (not text.strip())


@pytest.mark.parametrize(
    ("text", "reason", "kept"),
    [
        ("Redis keeps sessions, so that they outlive a restart.", "stop", True),
        ("Redis keeps sessions, so that they", "length", True),
        ("sessions outlive a restart with Redis " * 40, "stop", False),
        ("sess\x00ions \ufffd\ufffd", "stop", False),
        ("Sessions are", "content_filter", False),
    ],
)
def test_broken_answers_score_low(text: str, reason: str, kept: bool) -> None:
    """Loops, garbage and cut answers are worth less than whole ones; the worst are not kept."""
    question = [Message("user", "Where are the sessions kept so that they outlive a restart?")]
    assert (score(question, text, reason) >= KEEP) == kept


@given(st.integers(1, 10), st.none() | st.floats(0, 100))
def test_pauses_grow_and_are_bounded(attempt: int, asked: float | None) -> None:
    """No pause is longer than the longest, but for one that was asked for."""
    retries = Retries()
    pause = retries.pause_after(attempt, asked)
    assert (asked or 0) <= pause <= max(asked or 0, retries.longest_pause)
    assert pause >= min(retries.longest_pause, retries.pause * 2 ** (attempt - 1)) / 2


@pytest.mark.parametrize("task", TASKS)
def test_the_built_in_provider_says_what_it_is(task: str) -> None:
    """For each task there is a prepared answer, always the same, in several pieces, with an estimate of its tokens."""

    async def pieces() -> list[str]:
        request = ChatRequest("local", (Message("user", "What about my plan?"),), task=task)
        async with contextlib.aclosing(LocalProvider().stream(request)) as chunks:
            found = [chunk async for chunk in chunks]
        assert found[-1].finish_reason == "stop"
        assert found[-1].usage is not None
        assert found[-1].usage.estimated
        return [chunk.text for chunk in found[:-1]]

    once = asyncio.run(pieces())
    assert len(once) > 10
    assert "built-in provider" in "".join(once)
    assert "".join(once).count("What about my plan?") == 1
    assert asyncio.run(pieces()) == once


def test_the_built_in_provider_keeps_to_a_length() -> None:
    """`max_tokens` cuts it, and it says so."""

    async def scene() -> None:
        request = ChatRequest("local", (Message("user", "hello"),), max_tokens=3)
        found = [chunk async for chunk in LocalProvider().stream(request)]
        assert [chunk.text for chunk in found] == ["Hello! ", "I ", "am ", ""]
        assert found[-1].finish_reason == "length"

    asyncio.run(scene())

"""Long conversations: what is kept of old messages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stack.router.sessions import Session, Turn
from stack.router.summary import BUDGET, MAX_MESSAGES, SUMMARY_BUDGET, as_text, condense, summarise, tokens

# Random texts are short; repeated, they reach the budgets as well.
TEXTS = st.builds(lambda text, times: text * times, st.text(max_size=60), st.integers(1, 60))
TURNS = st.builds(Turn, st.sampled_from(["user", "assistant"]), TEXTS)


def talk(*texts: str) -> Session:
    session = Session("a")
    for text in texts:
        session = condense(session.with_turns(Turn("user", text), Turn("assistant", "Noted.")))
    return session


def test_a_short_conversation_stays_as_it_is() -> None:
    """Within the budgets nothing is summarised."""
    session = talk("hello", "what is a port?")
    assert (len(session.history), session.summary, session.length) == (4, (), 4)


def test_old_messages_become_a_summary() -> None:
    """Beyond the budget the oldest go, their telling sentences stay, and the length tells the truth."""
    filler = "The weather report mentions clouds and rain and wind again. " * 30
    session = talk("My name is Ada Lovelace and I maintain the Kettle gateway.", *[filler] * 8)
    assert session.length == 18
    assert len(session.history) < 18
    assert "Ada Lovelace" in as_text(session.summary)
    # What is repeated eight times is worth one sentence.
    assert as_text(session.summary).count("weather report") == 1


def test_many_short_messages_are_bounded() -> None:
    """A budget of messages holds where that of tokens does not bite."""
    session = talk(*["ok"] * 200)
    assert session.length == 400
    assert len(session.history) <= MAX_MESSAGES


def test_the_last_exchange_stays_however_long() -> None:
    """The question and answer before the next one are there word for word."""
    session = condense(Session("a").with_turns(Turn("user", "why?"), Turn("assistant", "because " * 5000)))
    assert len(session.history) == 2


def test_code_is_left_out() -> None:
    """A piece of code says nothing in part."""
    turn = Turn("assistant", "Set the port first.\n```yaml\nservices: {router: {port: 8888}}\n```\nThen start everything.")
    assert [each.text for each in summarise([turn])] == ["Set the port first.", "Then start everything."]


@given(st.lists(TURNS, max_size=12))
def test_a_summary_invents_nothing(turns: list[Turn]) -> None:
    """Whatever was said: the summary is within its budget, the same each time, and each sentence was said by whom it names."""
    summary = summarise(turns)
    assert sum(tokens(each.text) for each in summary) <= SUMMARY_BUDGET
    assert summary == summarise(turns)
    assert all(any(each.text in turn.text and each.role == turn.role for turn in turns) for each in summary)


@given(st.lists(TURNS, max_size=40))
def test_a_conversation_is_bounded(turns: list[Turn]) -> None:
    """However it goes: the length counts every message, the latest are kept word for word, the rest is within the budgets."""
    session = Session("a")
    for turn in turns:
        session = condense(session.with_turns(turn))
    assert session.length == len(turns)
    kept = len(session.history)
    assert session.history == tuple(turns[len(turns) - kept :])
    assert kept >= min(2, len(turns))
    assert kept <= 2 or sum(tokens(turn.text) for turn in session.history) <= BUDGET
    assert sum(tokens(each.text) for each in session.summary) <= SUMMARY_BUDGET

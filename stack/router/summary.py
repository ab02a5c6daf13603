"""Old messages of a long conversation, cut down to the sentences worth keeping.

Extractive: every sentence kept stands in the conversation as it is, so a summary cannot say what nobody said. The same
conversation always gives the same summary.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stack.router.sessions import Session, Turn

BUDGET = 2000
"""Tokens of messages that a conversation keeps word for word: a few screens, and a small part of what a model can read."""

SUMMARY_BUDGET = 400
"""Tokens that a summary has at most."""

MAX_MESSAGES = 100
"""Messages that a conversation keeps word for word, however short they are."""

# The question and answer before the present one are what "and that?" refers to: they stay, however long.
_ALWAYS_KEPT = 2

# Characters of a kept sentence. Longer ones are mostly lists and code, which say little in part.
_SENTENCE = 240

_SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)

# Words of content: the longer ones, and names and numbers of any length.
_WORD = re.compile(r"\w{4,}|(?<=\s)[A-Z]\w+|\d+")

# Far more sentences than a conversation within its budgets has. A pasted log could have more; the latest count.
_MAX_CANDIDATES = 1000

# What people say of themselves and ask for outweighs what they were told, which can be told again.
_OF_THE_USER = 2.0


def tokens(text: str) -> int:
    """About how many tokens a text has: four characters each, as English has with the usual models."""
    return -(-len(text) // 4)


def condense(session: Session) -> Session:
    """The session with its oldest messages summarised when it is over a budget, else as it is."""
    sizes = [tokens(turn.text) for turn in session.history]
    if sum(sizes) <= BUDGET and len(sizes) <= MAX_MESSAGES:
        return session
    # Down to half, so that not every message from now on makes a summary anew.
    kept, total = 0, 0
    for size in reversed(sizes):
        if kept >= _ALWAYS_KEPT and (total + size > BUDGET // 2 or kept >= MAX_MESSAGES // 2):
            break
        kept += 1
        total += size
    old, recent = session.history[: len(sizes) - kept], session.history[len(sizes) - kept :]
    return replace(session, history=recent, summary=summarise((*session.summary, *old))) if old else session


def summarise(turns: Sequence[Turn], budget: int = SUMMARY_BUDGET) -> tuple[Turn, ...]:
    """The sentences of `turns` that say most, in their order, within `budget` tokens."""
    candidates = list(_candidates(turns))[-_MAX_CANDIDATES:]
    frequency = Counter(word for candidate in candidates for word in candidate.words)

    def worth(candidate: _Candidate) -> float:
        # Words that the conversation returns to are what it is about. The root keeps long sentences from winning by length.
        weight = sum(frequency[word] for word in candidate.words) / math.sqrt(len(candidate.words))
        return weight * (_OF_THE_USER if candidate.turn.role == "user" else 1.0)

    chosen: list[_Candidate] = []
    left = budget
    # Of two that are worth the same, the later one: it is more likely to be still true.
    for candidate in sorted(candidates, key=lambda each: (-worth(each), -each.position)):
        size = tokens(candidate.turn.text)
        if size <= left and not any(candidate.repeats(other) for other in chosen):
            chosen.append(candidate)
            left -= size
    return tuple(candidate.turn for candidate in sorted(chosen, key=lambda each: each.position))


def as_text(summary: Sequence[Turn]) -> str:
    """A summary for people and models, one line a sentence; empty without one."""
    return "\n".join(f"{turn.role}: {turn.text}" for turn in summary)


@dataclass(frozen=True, slots=True)
class _Candidate:
    position: int
    turn: Turn
    words: frozenset[str]

    def repeats(self, other: _Candidate) -> bool:
        """Whether it says about the same: four of five words."""
        return len(self.words & other.words) * 5 >= len(self.words | other.words) * 4


def _candidates(turns: Sequence[Turn]) -> Iterator[_Candidate]:
    position = 0
    for turn in turns:
        for sentence in _SENTENCES.split(_CODE.sub("\n", turn.text)):
            text = sentence.strip()[:_SENTENCE].rstrip()
            if words := frozenset(word.lower() for word in _WORD.findall(text)):
                yield _Candidate(position, Turn(turn.role, text), words)
                position += 1

"""A score for an answer, from what can be seen without understanding it: 0 is useless, 1 has nothing against it.

It tells broken answers (cut off, repeating, garbled, beside the question) from whole ones. Whether one is true it cannot tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stack.backend.llm.provider import Message

KEEP = 0.5
"""Answers below this are not cached."""

# Characters looked at. Loops and garbage show early, and scoring stays under a few milliseconds.
_LOOKED_AT = 20_000

_WORD = re.compile(r"\w{3,}")

# Control characters other than tab and line ends, and the sign of a failed decoding.
_GARBAGE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffd]")

# Words of a repeated phrase, and of an answer that is long enough to judge by it.
_PHRASE = 4
_LONG_ENOUGH = 40


def score(messages: Sequence[Message], text: str, finish_reason: str, *, tools: bool = False) -> float:
    """The score of an answer, 0 to 1.

    Args:
        messages: what was asked.
        finish_reason: how it ended.
        tools: it asks for tools; then it may have no text.
    """
    text = text[:_LOOKED_AT]
    if not text.strip():
        return 1.0 if tools else 0.0
    value = {"stop": 1.0, "tool_calls": 1.0, "length": 0.7}.get(finish_reason, 0.4)
    if garbled(text):
        value *= 0.3
    words = [word.lower() for word in _WORD.findall(text)]
    value *= _variety(words)
    asked = next((message.content for message in reversed(messages) if message.role == "user"), "")
    asked_words = {word.lower() for word in _WORD.findall(asked[:_LOOKED_AT])}
    # Good answers often share a word with the question, but need not.
    if len(asked_words) >= 5 and not asked_words & set(words):
        value *= 0.8
    return round(value, 3)


def garbled(text: str) -> bool:
    """Whether it has characters that no text has: control characters, or what a failed decoding left."""
    return _GARBAGE.search(text) is not None


def _variety(words: list[str]) -> float:
    """1 for prose; near 0 for a phrase over and over."""
    if len(words) < _LONG_ENOUGH:
        return 1.0
    phrases = [tuple(words[at : at + _PHRASE]) for at in range(len(words) - _PHRASE + 1)]
    different = len(set(phrases)) / len(phrases)
    # Lists and tables repeat up to a third of their phrases.
    return min(1.0, different * 1.5)

"""Guessing how many tokens a text has, for providers that do not tell.

Tokenizers differ, so it is only a guess, and marked as one wherever it is used: near enough for a budget.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from stack.backend.llm.provider import Message

# A run of ASCII letters, a run of digits, one other visible character.
_PIECE = re.compile(r"[A-Za-z]+|[0-9]+|[^\sA-Za-z0-9]")

# A common word is one token up to about seven letters; digits go in threes.
_LETTERS_PER_TOKEN = 7
_DIGITS_PER_TOKEN = 3

# Characters that are counted. Of a longer text its beginning and end stand for the rest: a megabyte would take a tenth of a second.
_SAMPLE = 16_000

# What the chat format wraps around a message (role and separators).
_PER_MESSAGE = 4


def estimate(text: str) -> int:
    """About how many tokens `text` has. 0 only for one without visible characters."""
    if len(text) > _SAMPLE:
        sample = text[: _SAMPLE // 2] + text[-_SAMPLE // 2 :]
        return math.ceil(estimate(sample) * len(text) / _SAMPLE)
    total = 0
    for match in _PIECE.finditer(text):
        piece = match.group()
        if piece[0].isascii() and piece[0].isalpha():
            total += math.ceil(len(piece) / _LETTERS_PER_TOKEN)
        elif piece[0].isascii() and piece[0].isdigit():
            total += math.ceil(len(piece) / _DIGITS_PER_TOKEN)
        else:
            total += 1
    return total


def estimate_prompt(messages: Iterable[Message]) -> int:
    """About how many tokens a conversation has as a prompt."""
    total = 0
    for message in messages:
        total += _PER_MESSAGE + estimate(message.content)
        total += sum(estimate(call.name) + estimate(call.arguments) for call in message.tool_calls)
    return total

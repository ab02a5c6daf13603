"""The docs agent: finds the passage of the project's documentation that a question is about, and quotes it.

Retrieval by TF-IDF: passages and question as weighted words, the nearest passage by cosine.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from stack.router.agents import Question
from stack.router.agents.passages import Passage
from stack.router.classifier import limit_threads

# What is nearer shares a telling word with the question; what is further shares a common one by chance.
_NEAR_ENOUGH = 0.12

# A screenful. Only a code block can be longer.
_QUOTE_CHARACTERS = 900

_WORD = re.compile(r"\w\w+")

# Words that every question has, beyond those of scikit-learn's own list.
_OF_QUESTIONS = frozenset(
    {"did", "does", "explain", "know", "like", "mean", "meaning", "means", "need", "show"}
    | {"tell", "use", "used", "using", "want", "way", "work", "works", "write"}
)


class DocsAgent:
    """Answers from documentation.

    Args:
        known: the passages to search. With none, every answer says so.
    """

    name = "docs"

    def __init__(self, known: Sequence[Passage]) -> None:
        self._known = known
        self._vectorizer: Any = None
        self._index: Any = None
        limit_threads()
        from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS, TfidfVectorizer  # type: ignore[import-untyped]

        ignored = ENGLISH_STOP_WORDS | _OF_QUESTIONS

        def terms(text: str) -> list[str]:
            return [_stem(word) for word in _WORD.findall(text.lower()) if word not in ignored]

        # The subject twice more: a word in it says more about a passage than one in its text.
        texts = [f"{passage.subject}\n{passage.subject}\n{passage.text}" for passage in known]
        if any(terms(text) for text in texts):
            self._vectorizer = TfidfVectorizer(analyzer=terms, sublinear_tf=True)
            self._index = self._vectorizer.fit_transform(texts)

    async def stream(self, question: Question) -> AsyncGenerator[str, None]:
        yield self._answer(question)

    def _answer(self, question: Question) -> str:
        if self._vectorizer is None:
            return "I found no documentation to search: neither README.md nor docs/ has any text where the router looks."
        found = self._nearest(question.message) or self._nearest(_in_context(question))
        if not found:
            return "I found nothing about that in the documentation. The exact name of a key, a command or an option may find it."
        best, *others = found
        reply = f"From {best.section}:\n\n{_quote(self._whole(best))}"
        # A section once, however many of its passages are near.
        further = dict.fromkeys(other.section for other in others if other.section != best.section)
        if further:
            reply += "\n\nSee also: " + "; ".join(further)
        return reply

    def _whole(self, passage: Passage) -> str:
        """The passage's text; one that ends with a colon with what it announces."""
        texts = [passage.text]
        if passage.text.rstrip().endswith(":"):
            for follower in self._known[self._known.index(passage) + 1 :]:
                if follower.section != passage.section or sum(map(len, texts)) > _QUOTE_CHARACTERS:
                    break
                texts.append(follower.text)
        return "\n".join(texts)

    def _nearest(self, text: str) -> list[Passage]:
        """At most four passages, the nearest first; none that is too far."""
        scores = (self._index @ self._vectorizer.transform([text]).T).toarray()[:, 0]
        ranked = scores.argsort()[::-1][:4]
        return [self._known[int(each)] for each in ranked if scores[each] >= _NEAR_ENOUGH]


def _stem(word: str) -> str:
    """The word without an English ending, so that `ports` finds `port` and `restarting` finds `restart`. Short words stay."""
    return re.sub(r"(?:ing|ed|es|s)$", "", word) if len(word) > 4 else word


def _in_context(question: Question) -> str:
    """The message after the user's one before it: a follow-up ("and on macOS?") leaves out what it is about."""
    earlier = [turn.text for turn in question.history if turn.role == "user"][-1:]
    return " ".join((*earlier, question.message))


def _quote(text: str) -> str:
    return text if len(text) <= _QUOTE_CHARACTERS else f"{text[:_QUOTE_CHARACTERS]}…"

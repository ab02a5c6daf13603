"""What is a message about? A classifier trained on the examples in `data/train.jsonl`.

A linear model over words, pairs of words and pieces of words. It answers in about a millisecond and trains in a tenth of a
second, so it is trained at every start: a stored model would be tied to one version of scikit-learn, to save that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DATA = Path(__file__).with_name("data")


@dataclass(frozen=True, slots=True)
class Example:
    """A message and what it is about, such as `ops.health`: the agent's name, then what is wanted of it."""

    text: str
    intent: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What a message was taken for, and how probable that is, 0 to 1."""

    name: str
    confidence: float

    @property
    def agent(self) -> str:
        """The name of the agent that answers it."""
        return self.name.partition(".")[0]


def examples(path: Path) -> list[Example]:
    """The examples of a JSONL file, one `{"text", "intent"}` a line.

    Raises:
        OSError: the file cannot be read.
        ValueError: a line is no example; the message names it.
    """
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            found.append(Example(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(f"{path}:{number} is no example: {error}") from error
    return found


def limit_threads() -> None:
    """Keep numpy's linear algebra to one thread: the matrices are tiny, and a pool costs memory and idle wake-ups.

    Takes effect only before numpy is imported.
    """
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")


class IntentClassifier:
    """A trained classifier.

    Args:
        training: at least two examples each of at least two intents.
    """

    def __init__(self, training: Sequence[Example]) -> None:
        # Imported here, in the thread that loads: it takes half a second, in which the server already answers.
        limit_threads()
        from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]
        from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
        from sklearn.pipeline import make_pipeline, make_union  # type: ignore[import-untyped]

        # Every word counts, one of a single letter too: "I" and "a" tell a chat from a command.
        words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
        pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True)
        # C=10 by cross-validation over the training file: 3 to 30 are within its noise, 1 is worse.
        self._model: Any = make_pipeline(make_union(words, pieces), LogisticRegression(C=10, max_iter=1000))
        self._model.fit([example.text for example in training], [example.intent for example in training])
        self.intents: tuple[str, ...] = tuple(self._model.classes_.tolist())

    def __repr__(self) -> str:
        return f"<IntentClassifier of {len(self.intents)} intents>"

    def classify(self, message: str) -> Intent:
        """The most probable intent of `message`. About 1 ms; 5 ms for 4000 characters."""
        probabilities = self._model.predict_proba([message])[0]
        best = int(probabilities.argmax())
        return Intent(self.intents[best], round(float(probabilities[best]), 4))

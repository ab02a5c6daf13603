"""The intent classifier: how often it is right, and what its data must be."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from stack.router.classifier import DATA, Example, IntentClassifier, examples


@pytest.fixture(scope="module")
def classifier() -> IntentClassifier:
    return IntentClassifier(examples(DATA / "train.jsonl"))


def test_accuracy_on_held_out_messages(classifier: IntentClassifier) -> None:
    """It finds the agent for 95 % of messages that it was not trained on, and the exact intent for 90 %."""
    held_out = examples(DATA / "heldout.jsonl")
    found = [(example.intent, classifier.classify(example.text)) for example in held_out]
    exact = sum(intent.name == wanted for wanted, intent in found) / len(found)
    agent = sum(intent.agent == wanted.partition(".")[0] for wanted, intent in found) / len(found)
    assert agent >= 0.95, f"agent right for {agent:.1%}"
    assert exact >= 0.90, f"intent right for {exact:.1%}"


def test_every_intent_has_forty_examples() -> None:
    """No intent is learned from fewer than 40 examples or judged by fewer than 10."""
    trained = Counter(example.intent for example in examples(DATA / "train.jsonl"))
    judged = Counter(example.intent for example in examples(DATA / "heldout.jsonl"))
    assert trained.keys() == judged.keys()
    assert min(trained.values()) >= 40
    assert min(judged.values()) >= 10


def test_held_out_messages_are_not_trained_on() -> None:
    """No message stands in both files, whatever its case and punctuation."""

    def texts(name: str) -> set[str]:
        return {example.text.lower().strip(" ?!.") for example in examples(DATA / name)}

    assert not texts("train.jsonl") & texts("heldout.jsonl")


def test_confidence_is_a_probability(classifier: IntentClassifier) -> None:
    """Confidence lies between chance and certainty, for nonsense too."""
    for message in ("restart the backend", "zzz", "?", "の", "a" * 4000):
        assert 1 / len(classifier.intents) <= classifier.classify(message).confidence <= 1


def test_a_broken_data_file_is_named(tmp_path: Path) -> None:
    """A line that is no example is reported by file and number."""
    path = tmp_path / "examples.jsonl"
    path.write_text(json.dumps({"text": "hello", "intent": "chat"}) + '\n{"text": "only"}\n')
    with pytest.raises(ValueError, match=r"examples\.jsonl:2"):
        examples(path)


def test_examples_round_trip(tmp_path: Path) -> None:
    """A line becomes an example with its text as written."""
    path = tmp_path / "examples.jsonl"
    path.write_text('{"text": "Grüß Gott", "intent": "chat.greeting"}\n', encoding="utf-8")
    assert examples(path) == [Example("Grüß Gott", "chat.greeting")]

"""The kinds of questions, how long an answer to each stays true, and what the model is told about it."""

from __future__ import annotations

from dataclasses import dataclass

_MINUTE = 60.0
_HOUR = 60 * _MINUTE


@dataclass(frozen=True, slots=True)
class Task:
    """A kind of question.

    Attributes:
        time_to_live: seconds for which its answers are kept.
        instruction: the system message for a conversation that brings none.
    """

    time_to_live: float
    instruction: str


TASKS = {
    "chat": Task(10 * _MINUTE, "You are the assistant of a developer's stack. Answer shortly and plainly."),
    "audit": Task(24 * _HOUR, "You review code and configuration. Name each problem, where it is, and what mends it."),
    "tutoring": Task(30 * _MINUTE, "You teach. Explain step by step, with one small example, and end with a question."),
    "collaboration": Task(_HOUR, "You help people work together. Name what each side wants, and a next step for both."),
    "alignment": Task(2 * _HOUR, "You compare a plan with its goal. Name what fits, what does not, and what is missing."),
    "ethics": Task(12 * _HOUR, "You weigh a decision. Name who is affected, what speaks for it and what against it."),
}
"""By name, which is what requests carry."""

"""What an answer costs."""

from __future__ import annotations

from dataclasses import dataclass

from stack.backend.llm.provider import Usage


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens of a model."""

    input: float = 0.0
    output: float = 0.0

    @property
    def free(self) -> bool:
        return self.input == self.output == 0

    def of(self, usage: Usage) -> float:
        """US dollars for one answer."""
        return (usage.prompt_tokens * self.input + usage.completion_tokens * self.output) / 1_000_000


FREE = Price()

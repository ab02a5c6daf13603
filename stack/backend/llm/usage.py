"""What was used since the service started, by model."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from stack.backend.llm.provider import Usage
from stack.common.metrics import AI_COST, AI_TOKENS


@dataclass(slots=True)
class _Line:
    answers: int = 0
    cached: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    estimated: int = 0
    cost: float = 0.0


class UsageBook:
    """Counts. Models are those of the configuration, so it has few lines."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def charged(self, model: str, usage: Usage, dollars: float) -> None:
        """A request was sent and at least begun to be answered: that is what is paid for."""
        line = self._line(model)
        line.prompt_tokens += usage.prompt_tokens
        line.completion_tokens += usage.completion_tokens
        line.estimated += usage.estimated
        line.cost += dollars
        AI_TOKENS.labels(model, "prompt").inc(usage.prompt_tokens)
        AI_TOKENS.labels(model, "completion").inc(usage.completion_tokens)
        AI_COST.labels(model).inc(dollars)

    def answered(self, model: str) -> None:
        """A model gave a whole answer."""
        self._line(model).answers += 1

    def cached(self, model: str) -> None:
        """An answer of a model came from the cache."""
        self._line(model).cached += 1

    def failed(self, model: str) -> None:
        """Nobody answered a request for a model, or for `default`."""
        self._line(model).failed += 1

    def json(self) -> dict[str, Any]:
        """`{"models": {name: counts}, "total": counts}`: tokens, for how many requests they were guessed, dollars as `cost`."""
        total = _Line()
        for line in self._lines.values():
            for name, value in asdict(line).items():
                setattr(total, name, getattr(total, name) + value)
        return {"models": {model: _json(line) for model, line in self._lines.items()}, "total": _json(total)}

    def _line(self, model: str) -> _Line:
        return self._lines.setdefault(model, _Line())


def _json(line: _Line) -> dict[str, Any]:
    return {**asdict(line), "cost": round(line.cost, 6)}

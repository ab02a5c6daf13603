"""What a client is told when no model answered."""

from __future__ import annotations

import math
from collections.abc import Sequence

from stack.backend.llm.budget import BudgetSpent
from stack.backend.llm.provider import ProviderError
from stack.common.errors import ApiError

# Only for an answer of which a part was already handed on.
CUT_SHORT = (502, "llm_broken_off", "The model's answer broke off; ask again.")

# By kind of the last failure: status, code, message.
_ANSWERS = {
    "unreachable": (503, "llm_unreachable", "No language model can be reached; try again in a moment."),
    "timeout": (504, "llm_timeout", "No language model answered in time."),
    "rate_limited": (503, "llm_overloaded", "The language models are asked too much at the moment; try again later."),
    "refused": (502, "llm_refused", "The language model's endpoint refuses us: its key or address is wrong. The log says more."),
    "rejected": (422, "llm_rejected", "The language model rejects this request; it may be too long for it. The log says more."),
}
_OTHERWISE = (502, "llm_failed", "The language model failed to answer usably; the log says why.")

# Seconds after which a client may try again when nothing better is known.
_SOON = 5


class Overdue(ProviderError):
    """The time for all attempts together is over; `seconds` long."""

    def __init__(self, seconds: float) -> None:
        super().__init__("timeout", f"no whole answer within {seconds:g} s")


def no_answer(last: ProviderError | None, spent: BudgetSpent | None, asked: int) -> ApiError:
    """The error for a request that nobody answered.

    Args:
        last: the last failure; None when nobody was asked.
        spent: why somebody was not asked.
        asked: how many models there were to ask.
    """
    if spent is not None:
        message = "The budget for language models is spent for today; cached answers are still given."
        return ApiError(429, "budget_spent", message, {"Retry-After": str(math.ceil(spent.resets_in))})
    if last is None:
        message = f"Every language model ({asked}) failed lately and is left alone for a moment; try again."
        return ApiError(503, "llm_resting", message, {"Retry-After": str(_SOON)})
    status, code, message = _ANSWERS.get(last.kind, _OTHERWISE)
    headers = {"Retry-After": str(math.ceil(last.retry_after or _SOON))} if status == 503 else None
    return ApiError(status, code, message, headers)


def unknown_model(known: Sequence[str]) -> ApiError:
    """The error for a model that nobody has."""
    return ApiError(404, "unknown_model", f"There is no such model; there are default, {', '.join(dict.fromkeys(known))}.")

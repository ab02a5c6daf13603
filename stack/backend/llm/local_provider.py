"""The built-in provider: prepared answers, so that the stack works with no endpoint at all. It says what it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator

from stack.backend.llm.provider import ChatRequest, Chunk, Usage
from stack.backend.llm.tokens import estimate, estimate_prompt

MODEL = "local"
"""The name of its only model."""

_NO_MODEL = "I am the built-in provider: there is no language model behind me, only prepared answers."

_PREPARED = {
    "audit": "What an audit looks at first: inputs that are not bounded, waits without a timeout, secrets in logs or addresses, "
    "errors that are swallowed, and what happens when a dependency is gone.",
    "tutoring": "A way to learn it: say in one sentence what you want to understand, try the smallest example that shows it, "
    "change one thing, and explain to yourself why the outcome changed. What would your smallest example be?",
    "collaboration": "A next step for working together: let each side write down what it needs and by when, compare the two "
    "lists, and agree on the one item that stands on both.",
    "alignment": "How to compare a plan with its goal: write the goal as something that can be observed, name for each step which "
    "part of it the step serves, and look for parts that no step serves.",
    "ethics": "How to weigh the decision: name who is affected and did not choose to be, what would be hard to undo, and whether "
    "you would defend it openly to each of them.",
}

_GENERAL = (
    "I cannot answer that. Ask for documentation (“what does depends_on do?”) or about the services (“is everything healthy?”), "
    "or connect a model: LLM_URL and LLM_MODELS name an endpoint that speaks OpenAI's chat completions."
)

# What is looked for in a message, and what is answered; the first that fits.
_PLEASANTRIES = (
    (re.compile(r"\b(who|what) are you\b|\babout yourself\b", re.I), "I answer for the chat agent of this stack."),
    (re.compile(r"\b(thanks?|thank you|cheers|well done)\b", re.I), "You are welcome."),
    (re.compile(r"\b(bye|good ?night|see you)\b", re.I), "Goodbye!"),
    (re.compile(r"^\W*(hello|hi|hey|good (morning|evening|day))\b", re.I), "Hello!"),
)

# Characters of the question that are repeated, so that it shows what was understood as the question.
_QUOTED = 80


class LocalProvider:
    """Answers at once, the same to the same."""

    name = "local"
    models: tuple[str, ...] = (MODEL,)
    built_in = True

    async def aclose(self) -> None:
        """Nothing is open."""

    async def stream(self, request: ChatRequest) -> AsyncGenerator[Chunk, None]:
        words = re.findall(r"\S+\s*", self._answer(request))
        kept = words if request.max_tokens is None else words[: request.max_tokens]
        for word in kept:
            yield Chunk(word)
            # Others get their turn, as they would while a real model thinks.
            await asyncio.sleep(0)
        usage = Usage(estimate_prompt(request.messages), estimate("".join(kept)), estimated=True)
        yield Chunk(finish_reason="stop" if len(kept) == len(words) else "length", usage=usage)

    def _answer(self, request: ChatRequest) -> str:
        asked = next((message.content for message in reversed(request.messages) if message.role == "user"), "")
        prepared = _PREPARED.get(request.task)
        if prepared is None:
            for pattern, reply in _PLEASANTRIES:
                if pattern.search(asked[:1000]):
                    return f"{reply} {_NO_MODEL}"
            prepared = _GENERAL
        # What cannot be read would make the answer look garbled.
        readable = (sign if sign.isprintable() and sign != "\ufffd" else " " for sign in asked[: 4 * _QUOTED])
        quoted = " ".join("".join(readable).split())
        subject = f"{quoted[:_QUOTED]}…" if len(quoted) > _QUOTED else quoted
        return f"{_NO_MODEL} To “{subject}”: {prepared}"

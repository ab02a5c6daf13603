"""The chat agent: what is neither about the documentation nor about the stack.

It asks the backend's language models. Where those cannot be reached it has a few prepared answers, and says which of both speaks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

from stack.common.log import Log
from stack.router.agents import Question
from stack.router.agents.model import Model, ModelTrouble
from stack.router.summary import BUDGET

log = Log("stack.router.chat")

_SYSTEM = (
    "You are the assistant of a developer's stack of services that devctl runs. Three agents answer in it: docs from the project's "
    "documentation, ops about the running services, and you, chat, for everything else. Answer briefly, in plain text. "
    "If a question is about devctl or the services, say that it can be asked directly, such as “what does depends_on do?” or "
    "“is everything healthy?”. Do not invent facts about the stack."
)

_ABOUT = (
    "I am the assistant of this stack. A small classifier, trained when the router starts, decides what a message is about. "
    "Then one of three agents answers: docs looks things up in the project's documentation, ops tells how the services are, and "
    "chat, which is speaking, asks the backend's language models."
)

_GREETING = "Hello! Ask me how the stack is doing, or how something works in devctl."
_THANKS = "You are welcome."
_FAREWELL = "Goodbye!"

_GENERAL = (
    "I cannot answer that without a language model. What I can do: find things in the documentation (try “what does depends_on "
    "do?”) and look at the services (“is everything healthy?”)."
)

# The classifier does not tell these apart, as they need no agent of their own.
_THANKS_WORDS = ("thank", "thx", "helped", "helpful", "well done", "perfect", "wonderful", "awesome", "cheers")
_FAREWELL_WORDS = ("bye", "see you", "good night", "ciao", "take care", "so long", "weekend", "soon", "tomorrow", "have a")

# Characters of one earlier message that the model gets: two long ones may stand in a history that is otherwise within its budget.
_EARLIER = BUDGET * 4


class ChatAgent:
    """Answers by the backend's language models, or from prepared answers.

    Args:
        model: the models.
    """

    name = "chat"

    def __init__(self, model: Model) -> None:
        self._model = model

    async def stream(self, question: Question) -> AsyncGenerator[str, None]:
        spoken = False
        try:
            async for text in self._model.stream(_messages(question)):
                spoken = True
                yield text
        except ModelTrouble as trouble:
            log.warning("The language model did not answer", reason=str(trouble), in_the_midst=spoken)
            if spoken:
                yield f"\n\n[The language model broke off here: {trouble}.]"
            else:
                yield f"{_prepared(question)}\n\n[A built-in answer: the language model cannot be asked, {trouble}.]"


def _messages(question: Question) -> list[dict[str, str]]:
    """The conversation as a model reads it."""
    system = _SYSTEM
    if question.summary:
        system += f"\n\nFrom earlier in this conversation, some sentences of it:\n{question.summary}"
    earlier = [{"role": turn.role, "content": turn.text[:_EARLIER]} for turn in question.history]
    return [{"role": "system", "content": system}, *earlier, {"role": "user", "content": question.message}]


def _prepared(question: Question) -> str:
    if question.intent == "chat.about":
        return _ABOUT
    if question.intent == "chat.greeting":
        return _pleasantry(question.message.lower())
    return _GENERAL


def _pleasantry(message: str) -> str:
    replies = []
    if any(word in message for word in _THANKS_WORDS):
        replies.append(_THANKS)
    if any(word in message for word in _FAREWELL_WORDS):
        replies.append(_FAREWELL)
    return " ".join(replies) or _GREETING

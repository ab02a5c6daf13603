"""The chat agent: what is neither about the documentation nor about the stack.

The built-in provider knows a handful of answers and says so; it stands where a chain of language models will.
"""

from __future__ import annotations

from stack.router.agents import Question

_ABOUT = (
    "I am the assistant of this stack. A small classifier, trained when the router starts, decides what a message is about. "
    "Then one of three agents answers: docs looks things up in the project's documentation, ops tells how the services are, and "
    "chat, which is speaking, is a built-in provider with a few prepared answers. There is no language model behind it, and "
    "nothing you write leaves this machine."
)

_GREETING = "Hello! Ask me how the stack is doing, or how something works in devctl."
_THANKS = "You are welcome."
_FAREWELL = "Goodbye!"

_GENERAL = (
    "I cannot answer that: no language model is connected, and the built-in provider only has prepared answers. What I can do: "
    "find things in the documentation (try “what does depends_on do?”) and look at the services (“is everything healthy?”)."
)

# The classifier does not tell these apart, as they need no agent of their own.
_THANKS_WORDS = ("thank", "thx", "helped", "helpful", "well done", "perfect", "wonderful", "awesome", "cheers")
_FAREWELL_WORDS = ("bye", "see you", "good night", "ciao", "take care", "so long", "weekend", "soon", "tomorrow", "have a")


class ChatAgent:
    """Answers from the built-in provider."""

    name = "chat"

    async def answer(self, question: Question) -> str:
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

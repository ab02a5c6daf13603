"""What a question about the stack asks for: which services, which log lines, which operation. By words, as the intents are few."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

# Lines shown when nobody says how many, and at most: a screenful, and what still reads as a message.
_LINES = 10
_MOST_LINES = 100

_ERROR_WORDS = re.compile(r"\b(errors?|exceptions?|tracebacks?|stack traces?|fail\w*|crash\w*|wrong|red|suspicious)\b")
_WARNING_WORDS = re.compile(r"\bwarn\w*\b")
_QUOTED = re.compile(r"[\"“'`]([^\"”'`]{1,200})[\"”'`]")
_SEARCHED = re.compile(r"\b(?:search|grep|look|find)\b.*?\bfor (?:the (?:word|text|string) )?(\S{2,100})")
_COUNT = re.compile(
    r"\b(?:last|newest|latest|recent) (\d{1,4}|ten|twenty|fifty|hundred)\b(?! (?:second|minute|hour|day))"
    r"|\b(\d{1,4}) (?:\w+ )?(?:lines|errors|entries)\b"
)
_SPAN = re.compile(r"\b(?:last|past) (\d{1,4}|\w+)? ?(second|minute|hour|day)s?\b")

_NUMBERS = {"one": 1, "two": 2, "three": 3, "five": 5, "ten": 10, "fifteen": 15, "twenty": 20, "thirty": 30, "fifty": 50}
_NUMBERS["hundred"] = 100

# In the order in which they are looked for: what restarts has words of both others in it ("off and on again").
_VERBS = {
    "restart": re.compile(r"\b(restart\w*|reboot|bounce|cycle|relaunch|redeploy|reload|again|back)\b"),
    "stop": re.compile(r"\b(stop|shut|kill|halt|terminate|off|down|pause|end|exit)\b"),
    "start": re.compile(r"\b(start|launch|bring|spin|resume|wake|run|on|up)\b"),
}
_EVERYTHING = re.compile(r"\b(everything|all|whole|stack|services|assistant)\b")
_DEPENDENTS = re.compile(r"\bdepend\w* on (?:it|them)\b|\bdependents?\b")


@dataclass(frozen=True, slots=True)
class LogWish:
    """Which lines are wanted.

    Attributes:
        level: this or worse; None for all.
        since: as `devctl logs --since` takes it, such as `5m`.
    """

    tail: int
    level: str | None = None
    since: str | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class ControlWish:
    """Which operation is wanted.

    Attributes:
        verb: start, stop or restart.
        everything: of all services, not of named ones.
        with_dependents: also of what depends on them.
    """

    verb: str
    everything: bool
    with_dependents: bool


def named(message: str, services: Sequence[str]) -> list[str]:
    """The services that a message names, in the message's order. Case does not matter; plurals and genitives count."""
    text = message.lower()
    found = {}
    for service in services:
        match = re.search(rf"(?<![\w-]){re.escape(service.lower())}(?:'?s)?(?![\w-])", text)
        if match:
            found[service] = match.start()
    return sorted(found, key=found.__getitem__)


def asks_why(message: str) -> bool:
    """Whether a message asks for a reason."""
    return re.search(r"\b(why|how come|what is wrong with|what's wrong with|reason)\b", message.lower()) is not None


def log_wish(message: str) -> LogWish:
    """What a question about logs asks for."""
    text = message.lower()
    level = "error" if _ERROR_WORDS.search(text) else "warn" if _WARNING_WORDS.search(text) else None
    match = _COUNT.search(text)
    count = _number(match[1] or match[2]) if match else _LINES
    span = _SPAN.search(text)
    since = None if span is None else f"{_number(span[1] or '1')}{span[2][0]}"
    quoted = _QUOTED.search(message) or _SEARCHED.search(text)
    search = quoted[1].strip("?.,!") if quoted else None
    return LogWish(min(max(count, 1), _MOST_LINES), level if search is None else None, since, search or None)


def control_wish(message: str) -> ControlWish:
    """What a request to start or stop something asks for; a restart when no word says which."""
    text = message.lower()
    verb = next((verb for verb, words in _VERBS.items() if words.search(text)), "restart")
    return ControlWish(verb, _EVERYTHING.search(text) is not None, _DEPENDENTS.search(text) is not None)


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _NUMBERS.get(word, 1)

"""JSON lines made readable: level and message first, then a line for each of the other values."""

from __future__ import annotations

import json
from typing import Any

LINE_LIMIT = 100_000  # characters; a longer line is shown as it is
KEYS = 60  # values that are shown, of nested objects too
VALUE = 500  # characters of one value
DEPTH = 4

_MESSAGES = ("message", "msg", "event", "text", "body")
_LEVELS = ("level", "severity", "lvl", "levelname", "log.level")
_TIMES = ("time", "timestamp", "ts", "@timestamp", "datetime")


def pretty(text: str) -> list[str] | None:
    """The lines that a JSON object is shown as; None when `text` is none.

    Args:
        text: one log line. A prefix before the object, as loggers write it, is kept on the first line.
    """
    start = text.find("{")
    if start < 0 or len(text) > LINE_LIMIT or not text.rstrip().endswith("}"):
        return None
    try:
        entry = json.loads(text[start:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not entry:
        return None
    head = text[:start].rstrip()
    first = [head] if head else []
    rest = dict(entry)
    if not head:
        for names in (_TIMES, _LEVELS):
            name = next((name for name in names if isinstance(rest.get(name), str | int | float)), None)
            if name is not None:
                first.append(_scalar(rest.pop(name)))
    name = next((name for name in _MESSAGES if isinstance(rest.get(name), str)), None)
    if name is not None:
        first += _lines(rest.pop(name))[:1]
    lines = [" ".join(first) or "{…}"]
    _object(rest, "  ", lines)
    return lines if len(lines) > 1 else None


def _object(value: dict[str, Any], indent: str, lines: list[str]) -> None:
    for count, (key, item) in enumerate(value.items()):
        if len(lines) > KEYS:
            lines.append(f"{indent}… {len(value) - count} more")
            return
        name = f"{indent}{_short(str(key))}:"
        if isinstance(item, dict) and item and len(indent) < 2 * DEPTH:
            lines.append(name)
            _object(item, indent + "  ", lines)
        elif isinstance(item, str) and "\n" in item:
            lines.append(name)
            shown = _lines(item)
            lines += [f"{indent}  {line}" for line in shown]
        else:
            lines.append(f"{name} {_scalar(item)}")


def _scalar(value: Any) -> str:
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _short(text: str) -> str:
    one = text.replace("\r", " ").replace("\n", "⏎")
    return one if len(one) <= VALUE else f"{one[:VALUE]}… {len(one) - VALUE} more characters"


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    shown = [_short(line) for line in lines[:KEYS]]
    return [*shown, f"… {len(lines) - KEYS} more lines"] if len(lines) > KEYS else shown

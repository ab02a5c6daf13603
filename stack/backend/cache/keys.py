"""The key of an answer: what was asked, in one form, as a SHA-256."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from typing import Any


def key_of(task: str, model: str, request: Mapping[str, Any]) -> str:
    """`{task}:{model}:{digest}`, so that a pattern can name a task (`audit:*`) or a model.

    Args:
        task: one of `tasks.TASKS`.
        model: which was asked for, or `default`; characters that patterns do not know become `_`.
        request: everything that decides the answer, as JSON values.

    Raises:
        RecursionError: it is nested too deeply.
    """
    canonical = json.dumps(request, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    name = "".join(char if char.isascii() and (char.isalnum() or char in "_.-") else "_" for char in model)
    return f"{task}:{name}:{digest}"


def normal(text: str) -> str:
    """The text in one form: texts that differ only in line ends, spaces at the ends or how accents are composed are the same."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip()

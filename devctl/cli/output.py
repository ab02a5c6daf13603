"""`--json`."""

from __future__ import annotations

from typing import Any


def print_json(data: Any) -> None:
    """Prints one JSON document, indented, for people and programs."""
    import json

    print(json.dumps(data, indent=2, ensure_ascii=False))

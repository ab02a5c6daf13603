"""Settings from the environment, checked before anything else happens."""

from __future__ import annotations

import os
from urllib.parse import urlsplit


class SettingError(Exception):
    """A variable holds something that cannot be used; the message names it and says what would do."""


def integer(name: str, default: int, *, least: int, most: int) -> int:
    """The whole number in variable `name`, or `default` when it is unset or empty.

    Raises:
        SettingError: it is no number, or not within `least` and `most` (both allowed).
    """
    return int(number(name, default, least=least, most=most, whole=True))


def number(name: str, default: float, *, least: float, most: float, whole: bool = False) -> float:
    """The number in variable `name`, or `default` when it is unset or empty.

    Raises:
        SettingError: it is no number, or not within `least` and `most` (both allowed).
    """
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = float("nan")
    # NaN fails every comparison, so it is refused here as well.
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise SettingError(f"{name}={text!r}: give {kind} from {least} to {most}")
    return value


def base_url(name: str, default: str) -> str:
    """The http(s) address in variable `name`, without a slash at its end, or `default` when it is unset or empty.

    Raises:
        SettingError: it is no such address.
    """
    text = os.environ.get(name, "").strip() or default
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable:
        raise SettingError(f"{name}={text!r}: give an address such as {default}")
    return text.rstrip("/")

"""Durations and sizes as people write them."""

from __future__ import annotations

import re

_DURATION_UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION_PART = r"(\d{1,12}(?:\.\d{1,9})?|\.\d{1,9})(us|µs|ms|s|m|h|d)"
_PART = re.compile(_DURATION_PART, re.ASCII)
DURATION_PATTERN = rf"^({_DURATION_PART})+$"
_DURATION = re.compile(DURATION_PATTERN, re.ASCII)

# Decimal as disks and ls --si count, binary with the `i`. A bare letter is decimal too.
_SIZE_UNITS = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("", 1000), ("b", 1000), ("i", 1024), ("ib", 1024))
}
SIZE_PATTERN = r"^\d{1,15}(\.\d{1,6})?\s?([kKmMgGtT]?[iI]?[bB]?)$"
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)\s?([kmgt]?i?b?)", re.ASCII | re.IGNORECASE)


def parse_duration(text: str) -> float:
    """Seconds from `500ms`, `1m30s`, `1.5s`; a plain `0` is allowed. Raises ValueError."""
    if text == "0":
        return 0.0
    if len(text) > 100 or not _DURATION.fullmatch(text):
        raise ValueError(text)
    # Rounded: 0.1 + 0.2 must not show as 0.30000000000000004.
    return round(sum(float(number) * _DURATION_UNITS[unit] for number, unit in _PART.findall(text)), 9)


def format_duration(seconds: float) -> str:
    """The shortest form that `parse_duration` reads back to the same number of milliseconds: `1m30s`, `500ms`, `1.5s`."""
    milliseconds = round(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000)):
        count, milliseconds = divmod(milliseconds, size)
        text += f"{count}{unit}" if count else ""
    return text + (f"{milliseconds / 1000:.3f}".rstrip("0").rstrip(".") + "s" if milliseconds else "")


def parse_size(text: str) -> int:
    """Bytes from `20MB` (decimal), `512KiB` (binary) or a plain number. Raises ValueError."""
    match = _SIZE.fullmatch(text)
    if not match or match[2].lower() not in _SIZE_UNITS:
        raise ValueError(text)
    unit = _SIZE_UNITS[match[2].lower()]
    # Whole numbers stay exact; a float would not hold 15 digits times a terabyte.
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def format_size(count: int) -> str:
    """The largest decimal unit that says `count` bytes exactly: `20MB`, `1500B`."""
    for unit in ("TB", "GB", "MB", "kB"):
        size = _SIZE_UNITS[unit.lower()]
        if count and count % size == 0:
            return f"{count // size}{unit}"
    return f"{count}B"


def port_variable(name: str) -> str:
    """The variable that carries a port: `PORT` for the default one, `PORT_ADMIN` for `ports: {admin: …}`."""
    return "PORT" if name == "default" else "PORT_" + re.sub(r"\W", "_", name, flags=re.ASCII).upper()
